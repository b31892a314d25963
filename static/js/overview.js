// All watchers on one page: what needs a person first, everything else quiet.

import { useEffect, useLayoutEffect, useReducer, useRef } from '../vendor/hooks.js';
import { amount, html, icon, mark, pips, ring, spark, tone } from './shapes.js';
import { visible } from './ansi.js';
import { bytes, clock, count, percent, rate, span, wait, when } from './format.js';
import { byName, isLive, isStopped, kindsOf, needsYou, now, shape, store, watcherNamed } from './store.js';
import { base } from './page.js';
import { loadSheet } from './pages.js';
import { useRowWindow } from './rowwindow.js';
import { choose, chooseAll, chosen, folded, GROUPINGS, isOrdinary, keepView, mayChoose, rowsOf, SEGMENTS, several, shown, startedAt, view } from './view.js';
import { counted, Do, LastCrash, linked, nextTry, Note, progress, Spoken, WatcherState } from './parts.js';
import { fleet, fleetLabel, Loading } from './frame.js';
import { word } from './format.js';
import { Later } from './later.js';
import { first, say, states } from './words.js';

const seriesOf = (watcher) => store.load.get(watcher.name);
// Where the style sheet shows no lines beside the figures, none are made.
const wide = matchMedia('(min-width: 1181px)');
const cards = matchMedia('(max-width: 720px)');
const running = (watcher) => watcher.processes.filter((process) => shape(process.state) === 'run').length;

/** What stands on a watcher's tag of a socket: its name if it is another than the watcher's, with the port where it has one. */
export function socketTag(name, watcher) {
  const address = store.sockets.find((socket) => socket.name === name)?.address || '';
  const port = /:(\d+)$/.exec(address);
  return port ? `${name === watcher.name ? '' : name}:${port[1]}` : name;
}

export function address(watcher) {
  return `${base}/w/${encodeURIComponent(watcher.name)}`;
}

function Lead() {
  const { lead, daemon } = store;
  const names = byName().map((watcher) => watcher.name);
  const part = (name, text) => {
    const watcher = name && watcherNamed(name);
    const [, own, rest] = /^(.*?)((?: And \d+ more\.)?\s*)$/s.exec(text);
    return html`${name && html`<a class="say" href=${address({ name })}>${name}</a>`}${counted(own, watcher)}${watcher?.crash && html` (<${LastCrash} watcher=${watcher} />)`}${rest}`;
  };
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

/** One of several by a list of the browser's own. */
function Choice({ name, label, value, options, change }) {
  return html`<label class=${`choice of-${name}`}><span class="only-heard">${label}</span><select class="choose" id=${name} value=${value} onChange=${(event) => change(event.target.value)}>
    ${options.map(([key, word]) => html`<option value=${key} selected=${key === value}>${word}</option>`)}</select></label>`;
}

function Tools({ redraw }) {
  const all = byName();
  return html`<div class="tools" role="toolbar" aria-label=${say.filterAndView}>
    <label class="in filter">${icon('filter')}<span class="only-heard">${say.filterTheWatchers}</span>
      <input type="text" id="filter" placeholder=${say.filterWatchers} spellcheck=${false} autocomplete="off" aria-keyshortcuts="/" value=${view.filter}
        onInput=${(event) => { view.filter = event.target.value; redraw(); }} /><kbd>/</kbd></label>
    <div class="seg" role="group" aria-label=${say.show}>${SEGMENTS.map(([key, label, within]) => html`<button type="button" aria-pressed=${String(view.segment === key)}
      onClick=${() => { view.segment = key; redraw(); }}>${label} <span class="n">${all.filter(within).length}</span></button>`)}</div>
    <${Choice} name="group" label=${say.groupBy} value=${view.group} options=${[['', say.groups.none], ...GROUPINGS.map((key) => [key, say.groups[key]])]} change=${(key) => { view.group = key; redraw(); }} />
    <${Choice} name="sort" label=${say.sortBy} value=${view.sort} options=${HEADS.map(([key, , label]) => [key, say.sortedBy(label)])} change=${(key) => { view.sort = key; view.down = false; redraw(); }} />
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
  ['last', 'c-last', say.heads.last],
];

/** The box that chooses these watchers: whether all, some or none of them are chosen. */
function Pick({ watchers, label, tab, pick }) {
  const some = watchers.some((watcher) => chosen.has(watcher.name));
  const all = some && watchers.every((watcher) => chosen.has(watcher.name) || (!isOrdinary(watcher) && watchers.length > 1));
  return html`<input type="checkbox" class="tick" tabindex=${tab} aria-label=${label} checked=${all} ref=${(box) => { if (box) box.indeterminate = some && !all; }}
    onClick=${(event) => { event.stopPropagation(); pick(event); }} />`;
}


function Head({ list, redraw }) {
  const turn = (key) => {
    view.down = view.sort === key ? !view.down : false;
    view.sort = key;
    redraw();
  };
  return html`<thead role="rowgroup"><tr role="row" aria-rowindex="1">
    <th role="columnheader" scope="col" class="c-pick">${mayChoose && html`<${Pick} watchers=${list} label=${say.chooseShown} tab=${0} pick=${() => { chooseAll(list); redraw(); }} />`}<span class="only-heard">${say.chosenHead}</span></th>
    ${HEADS.map(([key, name, label, more]) => html`<th role="columnheader" scope="col" class=${name} aria-sort=${view.sort === key ? (view.down ? 'ascending' : 'descending') : undefined}>
      <button type="button" onClick=${() => turn(key)}>${label}${more && html`<span class="c-when">${more}</span>`}${view.sort === key ? (view.down ? ' ↑' : ' ↓') : ''}</button></th>`)}
    <th role="columnheader" scope="col" class="c-do"><span class="only-heard">${say.heads.actions}</span></th>
  </tr></thead>`;
}

const sum = (watchers, of) => watchers.reduce((all, watcher) => all + (of(watcher) || 0), 0);
const load = (key) => (watcher) => { const value = seriesOf(watcher)?.[key].last; return Number.isNaN(value) ? 0 : value; };

/** What stands before a group: its name, how many they are, and what they take together. */
function Group({ group, index, redraw }) {
  const { key, title, watchers } = group;
  const open = !folded.has(key);
  const fold = () => { if (open) folded.add(key); else folded.delete(key); redraw(); };
  const ill = watchers.filter(needsYou).length;
  const restarts = sum(watchers, (watcher) => watcher.restarts);
  return html`<tr role="row" class="group" data-row=${` ${key}`} aria-rowindex=${index}>
    <td role="gridcell" class="c-pick">${mayChoose && html`<${Pick} watchers=${watchers} label=${say.chooseGroup(title, watchers.length)} pick=${() => { chooseAll(watchers); redraw(); }} />`}</td>
    <th role="rowheader" scope="rowgroup" class="c-group" colspan="2"><button type="button" aria-expanded=${String(open)} onClick=${fold}>${icon('chev')}<b dir="auto">${visible(title)}</b> <span class="n">${count(watchers.length)}</span>
      ${ill > 0 && html`<span class="st is-wait">${mark('wait')}${say.needYou(ill)}</span>`}</button></th>
    <td role="gridcell" class="c-procs num">${count(sum(watchers, running))} / ${count(sum(watchers, (watcher) => watcher.numprocesses))}</td>
    <td role="gridcell" class="c-cpu num"><span class="meter" data-k="CPU">${amount(percent(sum(watchers, load('cpu'))))}</span></td>
    <td role="gridcell" class="c-mem num"><span class="meter" data-k="mem">${amount(bytes(sum(watchers, load('rss'))))}</span></td>
    <td role="gridcell" class="c-restarts num">${count(restarts)}</td><td role="gridcell" class="c-up hide-m"></td><td role="gridcell" class="c-last"></td><td role="gridcell" class="c-do"></td></tr>`;
}

function last(watcher) {
  const sick = watcher.processes.find((process) => process.health?.state === 'unhealthy');
  if (sick) return [sick.health.since, `${watcher.numprocesses === 1 ? '' : `${sick.wid} `}${states.ill}: ${sick.health.text}`];
  const ill = watcher.processes.find((process) => ['backoff', 'failed'].includes(process.state) && process.exit);
  const next = nextTry(watcher);
  if (ill) {
    // Where there is one process, its number says nothing, and its state tells the next try already.
    const one = watcher.numprocesses === 1;
    const text = `${one ? '' : `${ill.wid} `}${ill.exit.text}${next !== null && !one ? `, try in ${wait(next - now())}` : ''}`;
    return [ill.exit.time, text];
  }
  if (watcher.schedule?.last) {
    const { ended, began, result, text, number } = watcher.schedule.last;
    return [ended || began, `run ${number} ${result}${text ? `: ${text}` : ''}`];
  }
  if (!watcher.last_event) return [null, ''];
  const { time, text } = watcher.last_event;
  return [time, watcher.numprocesses === 1 ? text.replace(/^1 (?=\D)/, '') : text];
}

function Row({ watcher, at, open, reach, index, redraw }) {
  const series = seriesOf(watcher);
  const started = startedAt(watcher);
  const [time, text] = last(watcher);
  const ill = needsYou(watcher);
  const stopped = isStopped(watcher);
  // One row is in the order of Tab, with what is in it; keys go from row to row.
  const tab = at || cards.matches ? 0 : -1;
  const classes = [at && 'at', ill && 'needs'].filter(Boolean).join(' ');
  const picked = chosen.has(watcher.name);
  const pick = (event) => { choose(watcher.name, event.shiftKey); redraw(); };
  return html`<tr role="row" class=${classes} tabindex=${at ? 0 : -1} data-row=${watcher.name} aria-rowindex=${index} aria-selected=${mayChoose ? String(picked) : undefined} data-watcher=${watcher.name} data-ctl=${`circusctl status ${word(watcher.name)}`}
      onFocusCapture=${() => reach(watcher.name)} onDblClick=${() => open(watcher)}>
    <td role="gridcell" class="c-pick" onClick=${mayChoose ? pick : undefined}>${mayChoose && html`<${Pick} watchers=${[watcher]} label=${say.chooseOne(watcher.name)} tab=${tab} pick=${pick} />`}</td>
    <td role="gridcell" class="c-state"><${WatcherState} watcher=${watcher} />${progress(watcher.job)}</td>
    <th role="rowheader" scope="row" class="c-name"><span class="named"><a class="name" href=${address(watcher)} tabindex=${tab} dir="auto" title=${watcher.name}>${visible(watcher.name)}</a>${watcher.sockets.map((name) => html`<span class="tag" dir="auto">${socketTag(name, watcher)}</span>`)}</span></th>
    <td role="gridcell" class="c-procs num">${pips(kindsOf(watcher))} <span class="ratio">${running(watcher)} / ${watcher.numprocesses}</span></td>
    <td role="gridcell" class="c-cpu num"><span class="meter" data-k=${say.heads.cpu}>${wide.matches && series && spark(series.cpu)}${amount(percent(series?.cpu.last))}</span></td>
    <td role="gridcell" class="c-mem num"><span class="meter" data-k=${say.heads.memShort}>${wide.matches && series && spark(series.rss)}${amount(bytes(series?.rss.last))}</span></td>
    <td role="gridcell" class="c-restarts num">${watcher.restarts ? html`<span class=${ill ? 'is-wait' : ''}>${ill ? '▲ ' : ''}${count(watcher.restarts)}</span>` : html`<span class="dim">0</span>`}</td>
    <td role="gridcell" class="c-up num hide-m">${started === null ? html`<span class="dim">–</span>` : span(now() - started)}</td>
    <td role="gridcell" class="c-last"><span class="last">${time !== null && html`<time>${when(time, now())}</time>`}<span title=${text}>${visible(text)}</span></span></td>
    <td role="gridcell" class="c-do num"><span class="acts">
      ${watcher.schedule && !stopped ? html`<${Do} what="run" watcher=${watcher} picture="start" given=${{ waiting: false }} tab=${tab} small />` : html`<${Do} what=${stopped ? 'start' : 'restart'} watcher=${watcher} tab=${tab} small />`}
      ${stopped ? null : html`<${Do} what="stop" watcher=${watcher} tab=${tab} small bare />`}
      <${Do} what="decr" watcher=${watcher} tab=${tab} small bare /><${Do} what="incr" watcher=${watcher} tab=${tab} small bare />
    </span></td>
  </tr>`;
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
  [/^(process\.(exited|backoff)|run\.(skipped|missed))$/, 'wait'],
  [/^(process\.(crashed|failed|refused|unready|unhealthy)|watcher\.(failed|reload_failed)|output\.dropped|hook\.failed|client\.refused)$/, 'fail'],
  [/^(watcher|socket)\.(stopped|removed|closed)$/, 'rest'],
  [/^(process\.(started|ready|healthy)|watcher\.(started|added|scaled|reloaded$)|daemon\.|socket\.opened|hook\.succeeded|output\.recovered)/, 'run'],
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

let Several = null; // what is done to several: loaded when some are chosen first

/** The bar is there afterwards; where it can't be had, as while the console is away, the next choice asks for it again. */
async function loadSeveral(redraw) {
  const [module] = await Promise.all([import('./several.js').catch(() => null), loadSheet('several')]);
  if (module) Several = module.Several; else several.wanted = '';
  redraw();
}

/** The rows of a list, and what was drawn of them: while only the page is scrolled, nothing is drawn twice. */
function useRows(list) {
  const held = useRef({ list: null });
  if (held.current.list !== list) {
    // What went wrong stands under its watcher, as a row of its own.
    const rows = rowsOf(list).flatMap((row) => (row.watcher && store.notes.has(row.watcher.name) ? [row, { key: `! ${row.key}`, note: row.watcher }] : [row]));
    held.current = { list, rows, drawn: new Map() };
  }
  return held.current;
}

function Grid({ list, open, redraw }) {
  const { rows, drawn } = useRows(list);
  // The row that one is at is there wherever the page is scrolled to: it has the focus, or Tab leads to it.
  const { body, parts } = useRowWindow(rows, view.at);
  // Keys choose a row, which may be drawn only now.
  useLayoutEffect(() => {
    if (!view.reach) return;
    view.reach = false;
    body.current?.querySelector(`tr[data-watcher="${CSS.escape(view.at)}"]`)?.focus();
  });
  const reach = (name) => { if (view.at !== name) { view.at = name; redraw(); } };
  // One row is in the order of Tab, also where the one that was chosen is in a group that is folded.
  const watchers = parts.flatMap((part) => part.rows || []).filter((row) => row.watcher);
  const at = watchers.some((row) => row.key === view.at) ? view.at : watchers[0]?.key;
  const draw = (row, index) => {
    if (row.group) return html`<${Group} key=${row.key} group=${row.group} index=${index} redraw=${redraw} />`;
    if (row.note) return html`<tr key=${row.key} role="row" class="said" data-row=${row.key} aria-rowindex=${index}><td role="gridcell" colspan="10"><${Note} watcher=${row.note} /></td></tr>`;
    return html`<${Row} key=${row.key} watcher=${row.watcher} at=${row.key === at} index=${index} open=${open} reach=${reach} redraw=${redraw} />`;
  };
  const once = (row, index) => {
    const key = `${row.key === at} ${row.key}`;
    if (!drawn.has(key)) drawn.set(key, draw(row, index));
    return drawn.get(key);
  };
  // All of one list: a row that came to be in another would be made anew, and lose the focus.
  return html`<table class="tab" role="grid" aria-labelledby="w-h" aria-rowcount=${rows.length + 1} aria-multiselectable=${mayChoose ? 'true' : undefined}>
    <${Head} list=${list} redraw=${redraw} />
    <tbody role="rowgroup" ref=${body}>${parts.flatMap((part, n) => part.rows?.map((row, i) => once(row, part.from + i + 2))
      || html`<tr key=${` space ${n}`} class="space" aria-hidden="true" style=${{ height: `${part.space}px` }}><td colspan="10"></td></tr>`)}</tbody>
  </table>`;
}

const FIRST = { part: 'first', title: first.title, sheet: 'first', load: () => import('./first.js').then((module) => module.FirstPage) };

export function Overview({ open, visit }) {
  const [, turn] = useReducer((before) => before + 1, 0);
  const redraw = () => { keepView(); turn(); };
  useEffect(keepView, []);
  useEffect(() => { document.title = `${say.watchers} · ${store.daemon?.host || 'circus'} · circus`; });
  // Whoever is gone is chosen no longer, also when another comes under that name.
  if (isLive()) for (const name of chosen) if (!store.watchers.has(name)) chosen.delete(name);
  useEffect(() => { if (chosen.size && !Several) loadSeveral(turn); }, [chosen.size]);
  if (!store.daemon) return html`<main id="page" class="page overview"><h1 class="only-heard">${say.watchers}</h1><${Loading} /></main>`;
  if (view.first || !byName().some(isOrdinary)) return html`<${Later} row=${FIRST} visit=${visit} />`;
  const list = shown();
  if (list.length && !list.some((watcher) => watcher.name === view.at)) view.at = list[0].name;
  return html`<main id="page" class="page overview">
    <${Lead} /><${Tools} redraw=${redraw} />
    <section class="sheet cards watchers" aria-labelledby="w-h"><h2 class="only-heard" id="w-h">${say.watchers}</h2>
      ${list.length === 0 ? html`<${Nothing} redraw=${redraw} />` : html`<${Grid} list=${list} open=${open} redraw=${redraw} />`}
    </section>
    ${Several && html`<${Several} list=${list} redraw=${redraw} />`}
    <div class="below"><${Sockets} /><${Events} /></div>
  </main>`;
}
