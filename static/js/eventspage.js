// What happened: live, filtered, page by page into the past, and each watcher over time as a lane.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { clock, stamp, wait } from './format.js';
import { html, icon, mark, tone } from './shapes.js';
import { visible } from './ansi.js';
import { address, eventShape } from './overview.js';
import { byName, now, store } from './store.js';
import { call } from './commands.js';
import { Loading } from './frame.js';
import { NotAsked, useTitle } from './asked.js';
import { Lanes } from './lanes.js';
import { asked, events as words } from './words.js';

const PAGE = 200; // events that are asked for at once
const MOST = 2000; // as many as the daemon keeps
const CHECK_AFTER = 200; // milliseconds without a key before what is typed is asked for

const TURNS = 4; // kinds of events that may come by turns

const LEVELS = ['info', 'warning', 'error'];

/** Whether an event passes, by the rules of the daemon's own filter. */
export function passes(event, filter) {
  const name = event.event || '';
  if (filter.watcher && (event.watcher || '') !== filter.watcher) return false;
  if (filter.kind && name !== filter.kind && !name.startsWith(`${filter.kind}.`)) return false;
  if (filter.level && LEVELS.indexOf(event.level || 'info') < LEVELS.indexOf(filter.level)) return false;
  return !filter.text || `${event.watcher || ''} ${event.text || ''}`.toLowerCase().includes(filter.text.toLowerCase());
}

/**
 * What one watcher says again and again, as one for each kind of event, newest first in each: a process that dies and is
 * started anew says three things by turns. An event of another watcher ends it, as then the order would be lost.
 */
export function grouped(list) {
  const groups = [];
  let from = 0; // the first group of the watcher that goes on
  for (const event of list) {
    if (groups.length && groups.at(-1)[0].watcher !== event.watcher) from = groups.length;
    const same = groups.slice(Math.max(from, groups.length - TURNS)).find((group) => group[0].event === event.event);
    if (same) same.push(event); else groups.push([event]);
  }
  return groups;
}

/** Adds what is not known yet; newest first. */
function merged(before, more) {
  const known = new Set(before.map((event) => event.number));
  const fresh = more.filter((event) => !known.has(event.number));
  return fresh.length ? [...before, ...fresh].sort((a, b) => b.number - a.number).slice(0, MOST) : before;
}

/** The list with what has come since, as far as it passes. */
function withLive(list, filter) {
  const from = list[0]?.number || 0;
  return merged(list, store.events.filter((event) => event.number > from && passes(event, filter)));
}

function properties(filter) {
  const given = Object.fromEntries(Object.entries({ name: filter.watcher, kind: filter.kind, level: filter.level, text: filter.text }).filter(([, value]) => value));
  return given.name ? { ...given, match: 'simple' } : given;
}

/** The events that pass: those that were asked for, and those that came since; with what gets older ones. */
function useEvents(filter) {
  const [held, setHeld] = useState({ list: [], more: false, ready: false, error: null });
  const turn = useRef(0);
  const epoch = store.daemon?.epoch;
  const text = JSON.stringify(filter);
  const ask = async (before) => {
    turn.current += 1;
    const mine = turn.current;
    try {
      const reply = await call('events', { lines: PAGE, ...properties(filter), ...(before ? { before } : {}) });
      if (mine === turn.current) setHeld((old) => ({ list: withLive(merged(before ? old.list : [], reply.events), filter), more: reply.more, ready: true, error: null }));
    } catch (error) {
      if (mine === turn.current) setHeld((old) => ({ ...old, ready: true, error }));
    }
  };
  // A daemon that was started anew counts from one again.
  useEffect(() => {
    if (!epoch) return undefined;
    const timer = setTimeout(ask, held.ready ? CHECK_AFTER : 0);
    return () => clearTimeout(timer);
  }, [text, epoch]);
  // What comes is taken over at once: the store keeps only the last ones. Where more came than it keeps, it is asked for.
  const newest = store.events[0]?.number;
  const seen = useRef(0);
  useEffect(() => {
    const isGap = seen.current && store.events.at(-1)?.number > seen.current + 1;
    seen.current = newest || 0;
    if (isGap) ask();
  }, [newest]);
  useEffect(() => setHeld((old) => {
    const list = old.ready ? withLive(old.list, filter) : old.list;
    return list === old.list ? old : { ...old, list };
  }), [newest, held.ready, text]);
  return { ...held, older: () => ask(held.list.at(-1)?.number), again: () => ask() };
}

function Filters({ filter, set, count }) {
  const change = (key) => (event) => set({ ...filter, [key]: event.target.value });
  return html`<div class="tools" role="toolbar" aria-label=${words.filterLabel}>
    <label class="in filter">${icon('filter')}<span class="only-heard">${words.filterLabel}</span><input type="text" id="filter" placeholder=${words.filter} spellcheck=${false} autocomplete="off" aria-keyshortcuts="/" value=${filter.text} onInput=${change('text')} /><kbd>/</kbd></label>
    <select class="choose" aria-label=${words.watcher} value=${filter.watcher} onChange=${change('watcher')}><option value="">${words.anyWatcher}</option>${byName().map((watcher) => html`<option value=${watcher.name} selected=${watcher.name === filter.watcher}>${watcher.name}</option>`)}</select>
    <select class="choose" aria-label=${words.kind} value=${filter.kind} onChange=${change('kind')}><option value="">${words.anyKind}</option>${Object.entries(words.kinds).map(([kind, name]) => html`<option value=${kind} selected=${kind === filter.kind}>${name}</option>`)}</select>
    <div class="seg" role="group" aria-label=${words.level}>${words.levels.map(([level, name]) => html`<button type="button" aria-pressed=${String(filter.level === level)} onClick=${() => set({ ...filter, level })}>${name}</button>`)}</div>
    <span class="grow"></span><span class="dim" role="status" aria-live="off">${count}</span></div>`;
}

function When({ time }) {
  const age = now() - time;
  return html`<time datetime=${new Date(time * 1000).toISOString()} title=${new Date(time * 1000).toString()}>${stamp(time, now())}</time><span class="ago">${age < 1 ? asked.justNow : asked.ago(wait(age))}</span>`;
}

function Event({ event, group, open, turn }) {
  const kind = eventShape(event);
  const first = group.at(-1);
  const many = group.length > 1 && !open;
  return html`<li class=${event.level && event.level !== 'info' ? `lv-${event.level}` : ''} data-event=${event.event}><${When} time=${event.time} /><span class=${tone[kind]}>${mark(kind)}</span>
    <p>${event.watcher ? html`<a class="name" href=${address({ name: event.watcher })}><bdi>${visible(event.watcher)}</bdi></a> ` : ''}${visible(event.text || event.event)}${many && html` <span class="dim">${words.since(clock(first.time))}</span>`}</p>
    ${group.length > 1 && event === group[0] ? html`<button class="btn small quiet times" type="button" aria-expanded=${String(open)} aria-label=${open ? words.fold : words.unfold(group.length, event.watcher || words.theDaemon)} onClick=${turn}>${open ? words.fold : words.times(group.length)}</button>` : html`<code class="dim kind">${event.event}</code>`}</li>`;
}

function List({ list }) {
  const [opened, setOpened] = useState(new Set());
  const turn = (number) => setOpened((before) => { const next = new Set(before); if (!next.delete(number)) next.add(number); return next; });
  return html`<ol class="events timeline">${grouped(list).map((group) => {
    // The oldest of a group keeps its number while newer ones come.
    const number = group.at(-1).number;
    const open = opened.has(number);
    return (open ? group : group.slice(0, 1)).map((event) => html`<${Event} key=${open ? event.number : `g${number}`} event=${event} group=${group} open=${open} turn=${() => turn(number)} />`);
  })}</ol>`;
}

export function EventsPage({ params }) {
  useTitle(words.title);
  const [filter, set] = useState({ watcher: params.get('watcher') || '', kind: params.get('kind') || '', level: params.get('level') || '', text: params.get('text') || '' });
  const { list, more, ready, error, older, again } = useEvents(filter);
  return html`<main id="page" class="page events-page"><header class="head-of"><div><h1>${words.title}</h1><p class="explain">${words.lead}</p></div></header>
    <${Filters} filter=${filter} set=${set} count=${ready ? words.shown(list.length) : ''} />
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${again} />`}
    ${!ready ? html`<${Loading} />` : list.length === 0 ? html`<section class="sheet"><div class="blank"><p>${store.events.length ? words.nothing : words.none}</p></div></section>` : html`
      <${Lanes} list=${list} choose=${(watcher) => set({ ...filter, watcher })} />
      <section class="sheet" aria-label=${words.title}><${List} list=${list} /></section>
      ${more && list.length < MOST ? html`<p><button class="btn" type="button" id="older" onClick=${older}>${icon('down')}${asked.older}</button></p>` : html`<p class="dim">${asked.noOlder}</p>`}`}</main>`;
}
