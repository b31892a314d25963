// Who changed what, from where, and with which result: filtered, and page by page into the past.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { stamp } from './format.js';
import { html, icon, mark } from './shapes.js';
import { visible } from './ansi.js';
import { now } from './store.js';
import { address } from './overview.js';
import { call } from './commands.js';
import { Loading } from './frame.js';
import { NotAsked, useTitle } from './asked.js';
import { loadTables, tables } from './tables.js';
import { may, page } from './page.js';
import { asked, audit as words, say } from './words.js';

const PAGE = 100; // entries that are asked for at once
const CHECK_AFTER = 250; // milliseconds without a key

const keyOf = (entry) => JSON.stringify(entry);
const given = (filter) => Object.fromEntries(Object.entries(filter).filter(([, value]) => value));

function who(entry) {
  return entry.person || (entry.uid === undefined || entry.uid === null ? words.nobodyKnown : words.uid(entry.uid));
}

function from(entry) {
  const parts = [entry.door, entry.from && !['unix', 'inherited'].includes(entry.from) ? entry.from : '', entry.pid ? words.process(entry.pid) : ''];
  return parts.filter(Boolean).join(', ');
}

/** The entries that pass, newest first; others that come meanwhile are asked for with the button of the browser. */
function useEntries(filter) {
  const [held, setHeld] = useState({ list: [], more: false, reply: null, error: null });
  const turn = useRef(0);
  const text = JSON.stringify(filter);
  const ask = async (skip) => {
    turn.current += 1;
    const mine = turn.current;
    try {
      const reply = await call('audit', { lines: PAGE, ...given(filter), ...(skip ? { skip } : {}) });
      if (mine !== turn.current) return;
      setHeld((old) => {
        const before = skip ? old.list : [];
        const known = new Set(before.map(keyOf));
        // They are recorded when they end, and shown by when they began.
        return { list: [...before, ...reply.entries.filter((entry) => !known.has(keyOf(entry)))].sort((a, b) => b.time - a.time), more: reply.entries.length === PAGE, reply, error: null };
      });
    } catch (error) {
      if (mine === turn.current) setHeld((old) => ({ ...old, error }));
    }
  };
  useEffect(() => {
    const timer = setTimeout(ask, held.reply ? CHECK_AFTER : 0);
    return () => clearTimeout(timer);
  }, [text]);
  return { ...held, older: () => ask(held.list.length), again: () => ask() };
}

function Filters({ filter, set, count }) {
  const change = (key) => (event) => set({ ...filter, [key]: event.target.value });
  const recorded = tables.commands.filter((row) => row.where === 'daemon' && row.effect !== 'read');
  return html`<div class="tools" role="toolbar" aria-label=${words.filterLabel}>
    <label class="in filter">${icon('filter')}<span class="only-heard">${words.filterLabel}</span><input type="text" id="filter" placeholder=${words.filter} spellcheck=${false} autocomplete="off" aria-keyshortcuts="/" value=${filter.person} onInput=${change('person')} /><kbd>/</kbd></label>
    <select class="choose" aria-label=${words.command} value=${filter.command} onChange=${change('command')}><option value="">${words.anyCommand}</option>${recorded.map((row) => html`<option value=${row.name} selected=${row.name === filter.command}>${row.name}</option>`)}</select>
    <div class="seg" role="group" aria-label=${words.result}>${words.results.map(([result, name]) => html`<button type="button" aria-pressed=${String(filter.result === result)} onClick=${() => set({ ...filter, result })}>${name}</button>`)}</div>
    <span class="grow"></span><span class="dim" role="status" aria-live="off">${count}</span></div>`;
}

function Entry({ entry }) {
  const ok = entry.result === 'ok';
  const args = Object.entries(entry.args || {}).map(([key, value]) => `${key}=${value}`);
  return html`<tr role="row" class=${ok ? '' : 'ill'}>
    <td role="cell" class="c-time"><time datetime=${new Date((entry.time || 0) * 1000).toISOString()}>${stamp(entry.time || 0, now())}</time></td>
    <th role="rowheader" scope="row" class="c-who"><b dir="auto">${visible(who(entry))}</b>${entry.role && html` <small class="dim">${entry.role}</small>`}</th>
    <td role="cell" class="c-what"><code>${visible(entry.command || words.connection)}</code>${entry.watcher && html` <a class="name" href=${address({ name: entry.watcher })} dir="auto">${visible(entry.watcher)}</a>`}
      ${entry.keys?.length ? html` <span class="dim">${visible(entry.keys.join(', '))}</span>` : ''}${args.length ? html` <span class="dim">${visible(args.join(' '))}</span>` : ''}</td>
    <td role="cell" class="c-result"><span class=${`st ${ok ? 'is-run' : 'is-fail'}`}>${mark(ok ? 'run' : 'fail')}<span class="word">${ok ? words.ok : visible(String(entry.result || ''))}</span></span>${entry.count > 1 && html` <span class="dim">${words.times(entry.count)}</span>`}${entry.reason && html` <span class="dim">${visible(entry.reason)}</span>`}</td>
    <td role="cell" class="c-from dim">${visible(from(entry))}</td></tr>`;
}

function State({ reply }) {
  if (reply.file === null) return html`<p class="note"><span class="st is-wait">${mark('wait')}<span>${words.off}</span></span></p>`;
  return html`${reply.problem && html`<p class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${words.problem(reply.problem)}</span></span></p>`}
    <p class="dim">${words.file} <code>${visible(reply.file)}</code>${reply.lost ? html`; ${words.lost(reply.lost)}` : ''}</p>`;
}

const head = () => html`<header class="head-of"><div><h1>${words.title}</h1><p class="explain">${words.lead}</p></div></header>`;

export function AuditPage() {
  useTitle(words.title);
  if (may('admin')) return html`<${Trail} />`;
  return html`<main id="page" class="page audit-page">${head()}<section class="sheet"><div class="blank"><p>${say.mayNot(page.person || say.somebody, page.role, 'admin')}</p></div></section></main>`;
}

function Trail() {
  useEffect(loadTables, []);
  const [filter, set] = useState({ person: '', command: '', result: '' });
  const { list, more, reply, error, older, again } = useEntries(filter);
  return html`<main id="page" class="page audit-page">${head()}<${Filters} filter=${filter} set=${set} count=${reply ? words.shown(list.length) : ''} />
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${again} />`}
    ${!reply ? !error && html`<${Loading} />` : html`${list.length === 0 ? html`<section class="sheet"><div class="blank"><p>${words.none}</p></div></section>` : html`
      <section class="sheet" aria-label=${words.title}><table class="tab compact audit-table" role="table"><thead role="rowgroup"><tr role="row">${words.head.map((name) => html`<th role="columnheader" scope="col">${name}</th>`)}</tr></thead>
        <tbody role="rowgroup">${list.map((entry, at) => html`<${Entry} key=${`${entry.time} ${at}`} entry=${entry} />`)}</tbody></table></section>`}
      ${more ? html`<p><button class="btn" type="button" id="older" onClick=${older}>${icon('down')}${asked.older}</button></p>` : list.length > 0 && html`<p class="dim">${asked.noOlder}</p>`}
      <${State} reply=${reply} />`}</main>`;
}
