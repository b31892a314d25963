// All watchers on one page: what needs a person first, everything else quiet.

import { useEffect, useLayoutEffect, useState } from '../vendor/hooks.js';
import { amount, html, icon, mark, pips, ring, spark, tone } from './shapes.js';
import { visible } from './ansi.js';
import { bytes, clock, count, percent, rate, span, wait, when } from './format.js';
import { alive, byName, isStopped, kindsOf, needsYou, now, rank, shape, store, watcherNamed } from './store.js';
import { base } from './page.js';
import { counted, Do, linked, nextTry, Note, progress, Spoken, WatcherState } from './parts.js';
import { fleet, fleetLabel, Loading } from './frame.js';
import { word } from './format.js';
import { Later } from './later.js';
import { first, say } from './words.js';

/** What a person chose on this page; kept while other pages are looked at. */
export const view = { filter: '', segment: 'all', sort: 'state', down: false, at: '', reach: false, first: false };

const SEGMENTS = [
  ['all', say.segments.all, () => true],
  ['needs', say.segments.needs, needsYou],
  ['active', say.segments.active, (watcher) => !isStopped(watcher)],
  ['stopped', say.segments.stopped, isStopped],
];

const order = new Intl.Collator('en', { numeric: true });
const seriesOf = (watcher) => store.load.get(watcher.name);
// Where the style sheet shows no lines beside the figures, none are made.
const wide = matchMedia('(min-width: 1181px)');
const cards = matchMedia('(max-width: 720px)');
const lastOf = (watcher, key) => { const value = seriesOf(watcher)?.[key].last; return Number.isNaN(value) ? -1 : value ?? -1; };
const running = (watcher) => watcher.processes.filter((process) => shape(process.state) === 'run').length;

/** What stands on a watcher's tag of a socket: its name if it is another than the watcher's, with the port where it has one. */
export function socketTag(name, watcher) {
  const address = store.sockets.find((socket) => socket.name === name)?.address || '';
  const port = /:(\d+)$/.exec(address);
  return port ? `${name === watcher.name ? '' : name}:${port[1]}` : name;
}

/** When the oldest of its processes was started, or null. */
export function startedAt(watcher) {
  const times = watcher.processes.filter(alive).map((process) => process.started).filter((time) => time !== null);
  return times.length ? Math.min(...times) : null;
}

const SORTS = {
  state: (a, b) => rank(a) - rank(b),
  name: () => 0,
  procs: (a, b) => b.processes.length - a.processes.length,
  cpu: (a, b) => lastOf(b, 'cpu') - lastOf(a, 'cpu'),
  mem: (a, b) => lastOf(b, 'rss') - lastOf(a, 'rss'),
  restarts: (a, b) => b.restarts - a.restarts,
  up: (a, b) => (startedAt(a) ?? Infinity) - (startedAt(b) ?? Infinity),
};

export function address(watcher) {
  return `${base}/w/${encodeURIComponent(watcher.name)}`;
}

/** What a glob stands for, or null where it is none. */
export function globbed(text) {
  const escaped = text.replace(/[.+^${}()|\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
  try { return new RegExp(`^${escaped}$`, 'i'); } catch { return null; }
}

function matches(watcher, filter) {
  if (!filter) return true;
  const low = filter.toLowerCase();
  if (low.startsWith('@')) return watcher.tags.some((tag) => tag.toLowerCase().startsWith(low.slice(1)));
  if (/[*?[]/.test(filter)) return globbed(filter)?.test(watcher.name) ?? false;
  return watcher.name.toLowerCase().includes(low) || watcher.state.includes(low) || watcher.status.includes(low);
}

/** The watchers that are shown, in their order. */
export function shown() {
  const within = SEGMENTS.find((segment) => segment[0] === view.segment)[2];
  const list = byName().filter((watcher) => within(watcher) && matches(watcher, view.filter.trim()));
  list.sort((a, b) => (view.down ? -1 : 1) * SORTS[view.sort](a, b) || (view.sort === 'name' && view.down ? order.compare(b.name, a.name) : 0));
  return list;
}

function Lead() {
  const { lead, daemon } = store;
  const names = byName().map((watcher) => watcher.name);
  const part = (name, text) => html`${name && html`<a class="say" href=${address({ name })}>${name}</a>`}${counted(text, name && watcherNamed(name))}`;
  const restarts = byName().reduce((sum, watcher) => sum + watcher.restarts, 0);
  const cpu = percent(store.total.cpu.last);
  const rss = bytes(store.total.rss.last);
  const lines = store.daemonLoad.lines;
  return html`<section class="lead" aria-labelledby="lead-h">
    ${ring(fleet(), { label: fleetLabel() })}
    <div><h1 id="lead-h">${lead ? lead.title : say.watchers}</h1>
      <p class="explain">${lead ? linked(lead.text, names, part) : ''}</p><${Spoken} text=${lead?.text} /></div>
    <dl class="vitals" aria-label=${say.wholeDaemon}>
      <div><dt>${say.heads.cpu}<small>${daemon?.cores ? say.ofCores(count(daemon.cores)) : ''}</small></dt><dd>${wide.matches && spark(store.total.cpu)}${amount(cpu)}</dd></div>
      <div><dt>${say.heads.mem}<small>${daemon?.memory_total ? say.ofMemory(bytes(daemon.memory_total).join(' ')) : ''}</small></dt><dd>${wide.matches && spark(store.total.rss)}${amount(rss)}</dd></div>
      <div><dt>${say.heads.restarts}</dt><dd>${count(restarts)}</dd></div>
      ${typeof lines === 'number' && html`<div><dt>${say.linesEach}</dt><dd>${rate(lines)}</dd></div>`}
    </dl>
  </section>`;
}

function Tools({ redraw }) {
  const all = byName();
  return html`<div class="tools" role="toolbar" aria-label=${say.filterAndView}>
    <label class="in filter">${icon('filter')}<span class="only-heard">${say.filterTheWatchers}</span>
      <input type="text" id="filter" placeholder=${say.filterWatchers} spellcheck="false" autocomplete="off" aria-keyshortcuts="/" value=${view.filter}
        onInput=${(event) => { view.filter = event.target.value; redraw(); }} /><kbd>/</kbd></label>
    <div class="seg" role="group" aria-label=${say.show}>${SEGMENTS.map(([key, label, within]) => html`<button type="button" aria-pressed=${String(view.segment === key)}
      onClick=${() => { view.segment = key; redraw(); }}>${label} <span class="n">${all.filter(within).length}</span></button>`)}</div>
    <span class="grow"></span><a class="btn" href=${`${base}/c/reloadconfig`} data-ctl="circusctl reloadconfig --dry-run">${icon('reload')}<span class="label">${say.reloadConfig}</span></a>
    <a class="btn main" href=${`${base}/c/add`} data-ctl="circusctl help add" aria-keyshortcuts="a">${icon('plus')}<span class="label">${say.addWatcher}</span><kbd>a</kbd></a>
  </div>`;
}

const HEADS = [
  ['state', 'c-state', say.heads.state],
  ['name', 'c-name', say.heads.name],
  ['procs', 'c-procs num', say.processes],
  ['cpu', 'c-cpu num', say.heads.cpu, say.heads.back],
  ['mem', 'c-mem num', say.heads.mem, say.heads.back],
  ['restarts', 'c-restarts num', say.heads.restarts],
  ['up', 'c-up num hide-m', say.heads.up],
];

function Head({ redraw }) {
  const turn = (key) => {
    view.down = view.sort === key ? !view.down : false;
    view.sort = key;
    redraw();
  };
  return html`<thead role="rowgroup"><tr role="row">
    ${HEADS.map(([key, name, label, more]) => html`<th role="columnheader" scope="col" class=${name} aria-sort=${view.sort === key ? (view.down ? 'ascending' : 'descending') : undefined}>
      <button type="button" onClick=${() => turn(key)}>${label}${more && html`<span class="c-when">${more}</span>`}${view.sort === key ? (view.down ? ' ↑' : ' ↓') : ''}</button></th>`)}
    <th role="columnheader" scope="col" class="c-last">${say.heads.last}</th>
    <th role="columnheader" scope="col" class="c-do"><span class="only-heard">${say.heads.actions}</span></th>
  </tr></thead>`;
}

function last(watcher) {
  const ill = watcher.processes.find((process) => ['backoff', 'failed'].includes(process.state) && process.exit);
  const next = nextTry(watcher);
  if (ill) {
    // Where there is one process, its number says nothing, and its state tells the next try already.
    const one = watcher.numprocesses === 1;
    const text = `${one ? '' : `${ill.wid} `}${ill.exit.text}${next !== null && !one ? `, try in ${wait(next - now())}` : ''}`;
    return [ill.exit.time, text];
  }
  if (!watcher.last_event) return [null, ''];
  const { time, text } = watcher.last_event;
  return [time, watcher.numprocesses === 1 ? text.replace(/^1 (?=\D)/, '') : text];
}

function Row({ watcher, at, open, choose }) {
  const series = seriesOf(watcher);
  const started = startedAt(watcher);
  const [time, text] = last(watcher);
  const ill = needsYou(watcher);
  const stopped = isStopped(watcher);
  // One row is in the order of Tab, with what is in it; keys go from row to row.
  const tab = at || cards.matches ? 0 : -1;
  const classes = [at && 'at', ill && 'needs'].filter(Boolean).join(' ');
  return html`<tr role="row" class=${classes} tabindex=${at ? 0 : -1} data-watcher=${watcher.name} data-ctl=${`circusctl status ${word(watcher.name)}`}
      onFocus=${() => choose(watcher.name)} onDblClick=${() => open(watcher)}>
    <td role="gridcell" class="c-state"><${WatcherState} watcher=${watcher} />${progress(watcher.job)}</td>
    <th role="rowheader" scope="row" class="c-name"><span class="named"><a class="name" href=${address(watcher)} tabindex=${tab} dir="auto" title=${watcher.name}>${visible(watcher.name)}</a>${watcher.sockets.map((name) => html`<span class="tag" dir="auto">${socketTag(name, watcher)}</span>`)}</span></th>
    <td role="gridcell" class="c-procs num">${pips(kindsOf(watcher))} <span class="ratio">${running(watcher)} / ${watcher.numprocesses}</span></td>
    <td role="gridcell" class="c-cpu num"><span class="meter" data-k=${say.heads.cpu}>${wide.matches && series && spark(series.cpu)}${amount(percent(series?.cpu.last))}</span></td>
    <td role="gridcell" class="c-mem num"><span class="meter" data-k=${say.heads.memShort}>${wide.matches && series && spark(series.rss)}${amount(bytes(series?.rss.last))}</span></td>
    <td role="gridcell" class="c-restarts num">${watcher.restarts ? html`<span class=${ill ? 'is-wait' : ''}>${ill ? '▲ ' : ''}${count(watcher.restarts)}</span>` : html`<span class="dim">0</span>`}</td>
    <td role="gridcell" class="c-up num hide-m">${started === null ? html`<span class="dim">–</span>` : span(now() - started)}</td>
    <td role="gridcell" class="c-last"><span class="last">${time !== null && html`<time>${when(time, now())}</time>`}<span title=${text}>${visible(text)}</span></span></td>
    <td role="gridcell" class="c-do num"><span class="acts">
      <${Do} what=${stopped ? 'start' : 'restart'} watcher=${watcher} tab=${tab} small />
      ${stopped ? null : html`<${Do} what="stop" watcher=${watcher} tab=${tab} small bare />`}
      <${Do} what="less" watcher=${watcher} tab=${tab} small bare /><${Do} what="more" watcher=${watcher} tab=${tab} small bare />
    </span></td>
  </tr>${store.notes.has(watcher.name) && html`<tr role="row" class="said"><td role="gridcell" colspan="9"><${Note} watcher=${watcher} /></td></tr>`}`;
}

function nearest(filter) {
  const wanted = filter.toLowerCase().replace(/[*?]/g, '');
  let best = null;
  for (const watcher of store.watchers.values()) {
    const name = watcher.name.toLowerCase();
    const distance = Math.min(distanceOf(wanted, name), distanceOf(wanted, name.slice(0, wanted.length)) + 0.5);
    if (distance <= Math.max(2, wanted.length * 0.5) && (!best || distance < best.distance)) best = { watcher, distance };
  }
  return best?.watcher;
}

function distanceOf(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

function Nothing({ redraw }) {
  const filter = view.filter.trim();
  if (!filter) return html`<div class="blank"><p>${say.noneInSegment}</p></div>`;
  const near = nearest(filter);
  return html`<div class="blank"><h3>${say.nothingMatches(filter)}</h3>
    <p>${say.hiddenByFilter(store.watchers.size)} ${near && html`${say.nearest}<a class="say" href=${address(near)}>${near.name}</a>.`}</p>
    <button class="btn" type="button" onClick=${() => { view.filter = ''; view.segment = 'all'; redraw(); }}>${say.clearFilter} <kbd>Esc</kbd></button></div>`;
}

function Sockets() {
  return html`<section class="sheet" aria-labelledby="s-h"><header><h2 id="s-h">${say.sockets}</h2><a class="more" href=${`${base}/sockets/`}>${say.showAll}<span class="only-heard"> ${say.sockets}</span></a></header>
    ${store.sockets.length === 0 ? html`<div class="blank"><p>${say.noSockets}</p></div>` : html`<table class="tab compact sockets">
      <thead><tr><th scope="col">${say.heads.socket}</th><th scope="col">${say.heads.address}</th><th scope="col" class="num s-fd">${say.heads.fd}</th><th scope="col">${say.heads.held}</th><th scope="col" class="num s-backlog">${say.heads.backlog}</th></tr></thead>
      <tbody>${store.sockets.map((socket) => html`<tr><th scope="row" dir="auto" title=${socket.name}>${socket.name}</th><td title=${socket.address}><code>${socket.address}</code></td><td class="num s-fd">${socket.fd}</td>
        <td title=${(socket.held_by || []).join(', ')}>${(socket.held_by || []).map((name, i) => html`${i ? ', ' : ''}<a href=${address({ name })}>${name}</a>`)}</td><td class="num s-backlog">${count(socket.backlog)}</td></tr>`)}</tbody></table>`}
  </section>`;
}

const EVENT_SHAPES = [
  [/^process\.(exited|backoff)$/, 'wait'],
  [/^(process\.(failed|refused)|watcher\.failed|output\.dropped|hook\.failed|client\.refused)$/, 'fail'],
  [/^(watcher|socket)\.(stopped|removed|closed)$/, 'rest'],
  [/^(process\.started|watcher\.(started|added|scaled|reloaded)|daemon\.|socket\.opened|hook\.succeeded|output\.recovered)/, 'run'],
  [/^process\.signalled$|^daemon\.stopping$/, 'stopping'],
];

/** The shape that stands before an event. */
export function eventShape(event) {
  return (EVENT_SHAPES.find(([known]) => known.test(event.event)) || [null, 'rest'])[1];
}

function Events() {
  const list = store.events.slice(0, 12);
  return html`<section class="sheet" aria-labelledby="e-h"><header><h2 id="e-h">${say.events}</h2><a class="more" href=${`${base}/events/`}>${say.showAll}<span class="only-heard"> ${say.events}</span></a></header>
    ${list.length === 0 ? html`<div class="blank"><p>${say.noEvents}</p></div>` : html`<ol class="events">${list.map((event) => {
      const kind = eventShape(event);
      return html`<li key=${event.number}><time>${clock(event.time)}</time><span class=${tone[kind]}>${mark(kind)}</span><p title=${event.text}>${event.watcher && html`<b><bdi>${visible(event.watcher)}</bdi></b> `}${visible(event.text)}</p></li>`;
    })}</ol>`}
  </section>`;
}

const FIRST = { part: 'first', title: first.title, sheet: 'first', load: () => import('./first.js').then((module) => module.FirstPage) };

/** Whether somebody has a watcher: the console and plugins are none of anybody's. */
const isOwn = (watcher) => watcher.kind !== 'httpd' && watcher.kind !== 'plugin';

export function Overview({ open, visit }) {
  const [, setTurn] = useState(0);
  const redraw = () => setTurn((turn) => turn + 1);
  // Keys choose a row, which may be drawn only now.
  useLayoutEffect(() => {
    if (!view.reach) return;
    view.reach = false;
    document.querySelector(`tr[data-watcher="${CSS.escape(view.at)}"]`)?.focus();
  });
  useEffect(() => { document.title = `${say.watchers} · ${store.daemon?.host || 'circus'} · circus`; });
  if (!store.daemon) return html`<main id="page" class="page overview"><h1 class="only-heard">${say.watchers}</h1><${Loading} /></main>`;
  if (view.first || !byName().some(isOwn)) return html`<${Later} row=${FIRST} visit=${visit} />`;
  const list = shown();
  if (list.length && !list.some((watcher) => watcher.name === view.at)) view.at = list[0].name;
  const choose = (name) => { if (view.at !== name) { view.at = name; redraw(); } };
  return html`<main id="page" class="page overview">
    <${Lead} /><${Tools} redraw=${redraw} />
    <section class="sheet cards watchers" aria-labelledby="w-h"><h2 class="only-heard" id="w-h">${say.watchers}</h2>
      ${list.length === 0 ? html`<${Nothing} redraw=${redraw} />` : html`<table class="tab" role="grid" aria-labelledby="w-h" aria-rowcount=${list.length}>
        <${Head} redraw=${redraw} />
        <tbody role="rowgroup">${list.map((watcher) => html`<${Row} key=${watcher.name} watcher=${watcher} at=${watcher.name === view.at} open=${open} choose=${choose} />`)}</tbody>
      </table>`}
    </section>
    <div class="below"><${Sockets} /><${Events} /></div>
  </main>`;
}
