// The logs of any watchers on one page: who is read, what their lines have in common, when they came.

import { useEffect, useMemo, useReducer, useRef, useState } from '../vendor/hooks.js';
import { hasEscapes, strip, visible } from './ansi.js';
import { count } from './format.js';
import { html, icon, mark } from './shapes.js';
import { Feed, readLineId } from './feed.js';
import { fieldsOf, objectOf, shownValue } from './json.js';
import { LINE, STREAMS } from './lines.js';
import { base } from './page.js';
import { own } from './pages.js';
import { colourOf, fromParams, lineClock, toParams } from './query.js';
import { Reader } from './reader.js';
import { byName, isStopped, store, subscribe } from './store.js';
import { globbed } from './view.js';
import { keyWords, read, say } from './words.js';

const BARS = 120;
const LOOK = 1000; // milliseconds between two looks at all lines
const SAMPLE = 3000; // lines whose fields are counted
const KINDS = 12; // values beyond which a field is none to choose by
const FACETS = 4;
const VALUES = 6;
const MOST_WATCHERS = 250;
const PARTS = 4; // windows side by side

/** The names of watchers that patterns mean: names, globs, @tags. Null is all of them. */
export function chosenNames(patterns, watchers) {
  if (!patterns.length) return null;
  const names = new Set();
  for (const pattern of patterns) {
    const low = pattern.toLowerCase();
    const exact = watchers.find((watcher) => watcher.name.toLowerCase() === low);
    if (exact) { names.add(exact.name); continue; }
    const test = low.startsWith('@') ? (watcher) => watcher.tags.some((tag) => tag.toLowerCase() === low.slice(1)) : (watcher) => globbed(pattern)?.test(watcher.name);
    for (const watcher of watchers) if (test(watcher)) names.add(watcher.name);
  }
  return [...names].sort();
}

// --- when lines came ----------------------------------------------------------------------------------------------------

function barsOf(lines) {
  if (lines.count < 2) return null;
  const from = lines.time(lines.first);
  const to = Math.max(lines.time(lines.next - 1), from + 1);
  const bars = [new Uint32Array(BARS), new Uint32Array(BARS), new Uint32Array(BARS)];
  for (let row = lines.first; row < lines.next; row += 1) {
    if (lines.kind(row) !== LINE) continue;
    const at = Math.min(BARS - 1, Math.max(0, Math.floor(((lines.time(row) - from) / (to - from)) * BARS)));
    bars[0][at] += 1;
    const level = lines.level(row);
    if (level > 2) bars[level - 2][at] += 1;
  }
  return { from, to, bars };
}

function pathOf(bars, top, foot, least = 0) {
  let path = '';
  for (let at = 0; at < BARS; at += 1) {
    if (!bars[at]) continue;
    const height = Math.max(least, (bars[at] / top) * foot);
    path += `M${at * 10 + 1} ${40}v-${height.toFixed(1)}h8v${height.toFixed(1)}z`;
  }
  return path;
}

function Times({ reading }) {
  const [told, setTold] = useState(null);
  const svg = useRef();
  useEffect(() => {
    const look = () => { if (!document.hidden) setTold({ ...barsOf(reading.lines), sight: reading.view?.sight?.map((row) => reading.lines.time(row)) }); };
    look();
    const timer = setInterval(look, LOOK);
    return () => clearInterval(timer);
  }, [reading]);
  if (!told?.bars) return html`<div class="histo" aria-hidden="true"></div>`;
  const { from, to, bars, sight } = told;
  const top = Math.max(...bars[0]);
  const x = (time) => ((time - from) / (to - from)) * BARS * 10;
  const go = (event) => {
    const box = svg.current.getBoundingClientRect();
    const time = from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (to - from);
    for (const view of reading.views) view.showTime(time);
  };
  const drag = (event) => { if (event.buttons & 1) go(event); };
  const ticks = [0, 0.25, 0.5, 0.75];
  return html`<div class="histo"><svg ref=${svg} role="img" aria-label=${read.histogram(count(reading.lines.count))} viewBox="0 0 1200 40" preserveAspectRatio="none" onPointerDown=${go} onPointerMove=${drag}>
      <path class="i0" d=${pathOf(bars[0], top, 38, 1.5)} /><path class="i1" d=${pathOf(bars[1], top, 38, 2.5)} /><path class="i2" d=${pathOf(bars[2], top, 38, 2.5)} />
      ${sight && html`<rect class="view" x=${Math.max(0, x(sight[0]) - 2)} y="0" width=${Math.max(6, x(sight[1]) - x(sight[0]))} height="40" />`}</svg>
    <div class="ticks" aria-hidden="true">${ticks.map((part) => html`<span>${lineClock(from + part * (to - from)).slice(0, -4)}</span>`)}<span>${lineClock(to).slice(0, -4)}</span></div></div>`;
}

// --- what lines have in common ------------------------------------------------------------------------------------------

/** The fields of the newest lines that are JSON, with how often each value is there; those of many values are left out. */
export function facetsOf(lines, sieve) {
  const fields = new Map();
  let objects = 0;
  for (let place = sieve.shown - 1, looked = 0; place >= 0 && looked < SAMPLE; place -= 1, looked += 1) {
    const row = sieve.at(place);
    if (lines.kind(row) !== LINE) continue;
    const text = lines.text(row);
    const object = objectOf(hasEscapes(text) ? strip(text) : text);
    if (!object) continue;
    objects += 1;
    for (const [name, value] of fieldsOf(object)) {
      if (value !== null && typeof value === 'object') continue;
      const values = fields.get(name) || new Map();
      fields.set(name, values);
      const shown = shownValue(value);
      if (values.size <= KINDS && shown.length <= 60) values.set(shown, (values.get(shown) || 0) + 1);
      else values.many = true;
    }
  }
  const told = [...fields].filter(([, values]) => !values.many && values.size > 0 && values.size <= KINDS)
    .map(([name, values]) => ({ name, total: [...values.values()].reduce((sum, one) => sum + one, 0), values: [...values].sort((a, b) => b[1] - a[1]) }));
  told.sort((a, b) => b.total - a.total || b.values.length - a.values.length);
  return told.filter((facet) => facet.values.length > 1 || facet.total < objects).slice(0, FACETS);
}

function Facets({ reading, query, setQuery }) {
  const [facets, setFacets] = useState([]);
  useEffect(() => {
    const look = () => { if (!document.hidden && reading.view) setFacets(facetsOf(reading.lines, reading.view.sieve)); };
    const timer = setInterval(look, LOOK * 2);
    return () => clearInterval(timer);
  }, [reading]);
  const only = (name, value) => setQuery({ ...query, fields: [...query.fields.filter((field) => field.name !== name), { name, value, not: false }] });
  return facets.map(({ name, total, values }) => html`<section key=${name}><h2><code>${visible(name)}</code>${!query.columns.includes(name) && html`<button type="button" onClick=${() => setQuery({ ...query, columns: [...query.columns, name] })}>${read.asColumn}</button>`}</h2>
    <ul>${values.slice(0, VALUES).map(([value, number]) => html`<li key=${value}><button type="button" onClick=${() => only(name, value)}><span class="w val" dir="auto">${visible(value) || '""'}</span><span class="n">${count(number)}</span></button>
      <svg class="share" viewBox="0 0 100 2" preserveAspectRatio="none" aria-hidden="true"><rect width=${Math.max(1, (number / total) * 100)} height="2" /></svg></li>`)}</ul></section>`);
}

// --- who is read ----------------------------------------------------------------------------------------------------------

function Sources({ reading, patterns, names, setPatterns, query, setQuery, open }) {
  const [typed, setTyped] = useState('');
  const held = new Map();
  const streams = [0, 0];
  for (const source of reading.lines.sources) {
    if (source.stream > 1) continue;
    held.set(source.watcher, (held.get(source.watcher) || 0) + source.lines);
    streams[source.stream] += source.lines;
  }
  const watchers = byName();
  const low = new Set((names || watchers.map((watcher) => watcher.name)));
  const turn = (name, alone) => {
    if (alone) { setPatterns([name]); return; }
    const now = new Set(names || watchers.map((watcher) => watcher.name));
    if (now.has(name)) now.delete(name); else now.add(name);
    setPatterns(now.size === watchers.length ? [] : now.size ? [...now].sort() : [name]);
  };
  const add = (event) => {
    event.preventDefault();
    const wanted = typed.trim();
    if (wanted) setPatterns(patterns.includes(wanted) ? patterns : [...patterns, wanted]);
    setTyped('');
  };
  const special = patterns.filter((pattern) => !watchers.some((watcher) => watcher.name.toLowerCase() === pattern.toLowerCase()));
  return html`<aside class=${`side ${open ? 'open' : ''}`} aria-label=${read.whoIsRead}>
    <section><h2>${read.sources}${names && html`<button type="button" onClick=${() => setPatterns([])}>${read.all}</button>`}</h2>
      <form class="add" onSubmit=${add}><span class="in"><input type="text" aria-label=${read.addSource} placeholder=${read.addSource} value=${typed} spellcheck=${false} autocomplete="off" onInput=${(event) => setTyped(event.target.value)} /></span></form>
      ${special.length > 0 && html`<div class="chips">${special.map((pattern) => html`<button class="chip" type="button" aria-label=${read.remove(pattern)} onClick=${() => setPatterns(patterns.filter((other) => other !== pattern))}><code>${pattern}</code> ×</button>`)}</div>`}
      <ul>${watchers.map((watcher, at) => html`<li key=${watcher.name} class=${`c${colourOf(watcher.name)} ${low.has(watcher.name) ? '' : 'off'}`}><label><input class="tick" type="checkbox" checked=${low.has(watcher.name)} data-source=${watcher.name} aria-keyshortcuts=${at < 9 ? String(at + 1) : undefined}
        onClick=${(event) => { event.preventDefault(); turn(watcher.name, event.shiftKey); }} /><span class="w sw" dir="auto">${visible(watcher.name)}${isStopped(watcher) ? html` <span class="dim">${read.stopped}</span>` : ''}</span><span class="n">${count(held.get(watcher.name) || 0)}</span></label>
        ${(!names || names.length > 1) && html`<button class="only" type="button" onClick=${() => turn(watcher.name, true)} aria-label=${read.onlySource(watcher.name)}>${read.only}</button>`}</li>`)}</ul></section>
    <section><h2>${read.streams}</h2><ul>${STREAMS.map((stream, at) => html`<li class=${query.streams[at] ? '' : 'off'}><label><input class="tick" type="checkbox" checked=${query.streams[at]} onChange=${() => setQuery({ ...query, streams: query.streams.map((on, i) => (i === at ? !on : on)) })} /><span class="w">${stream}</span><span class="n">${count(streams[at])}</span></label></li>`)}</ul></section>
    <${Facets} reading=${reading} query=${query} setQuery=${setQuery} />
  </aside>`;
}

// --- the page ---------------------------------------------------------------------------------------------------------------

const LATER = 3000; // milliseconds for the first lines, before a line is looked for elsewhere

/** Shows the line of the address: where it is among those that have come, or in its surroundings of then. Returns what gives it up. */
function seek(reading, line, time, told) {
  const { feed } = reading;
  const began = Date.now();
  const timer = setInterval(async () => {
    if (!store.daemon || (!feed.lines.count && Date.now() - began < LATER)) return;
    clearInterval(timer);
    feed.epoch ??= store.daemon.epoch;
    if (await reading.seek(line)) return;
    feed.error = null;
    if (time && await feed.at(time)) { reading.view.showTime(time); told(read.nearLine); return; }
    feed.error = null;
    told(read.lineGone);
  }, 50);
  return () => clearInterval(timer);
}

export function LogsPage({ params }) {
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  const [patterns, setPatterns] = useState(() => params.getAll('w').slice(0, 200));
  const [query, setQuery] = useState(() => fromParams(params));
  const [split, setSplit] = useState(params.get('split') === '1');
  const [open, setOpen] = useState(false); // the side, where it is not always there
  const [problem, setProblem] = useState('');
  const reading = useRef(null);
  const line = useMemo(() => readLineId(params.get('line')), []);
  const names = chosenNames(patterns, byName());
  const key = names && names.join('\n');
  const watchers = useMemo(() => names, [key]);
  // The daemon takes so many topics at once; of more, all are read and the others not shown.
  const followed = watchers && watchers.length > MOST_WATCHERS ? null : watchers;
  const feed = useMemo(() => new Feed(followed), []);
  useEffect(() => { feed.choose(followed); }, [followed]);
  useEffect(() => subscribe(redraw), []);
  useEffect(() => { document.title = `${read.logs} · ${store.daemon?.host || 'circus'} · circus`; });
  useEffect(() => {
    const shared = new URLSearchParams();
    for (const pattern of patterns) shared.append('w', pattern);
    toParams(query, shared);
    if (split) shared.set('split', '1');
    if (line) for (const name of ['line', 't']) if (params.get(name)) shared.set(name, params.get(name));
    const text = shared.toString();
    history.replaceState(history.state, '', `${base}/logs/${text ? `?${text}` : ''}`);
  }, [patterns, query, split]);
  useEffect(() => {
    const turn = (at) => document.querySelectorAll('[data-source]')[at]?.click();
    own.keys = {
      ...Object.fromEntries(Array.from({ length: 9 }, (_, at) => [String(at + 1), () => turn(at)])),
      Escape: () => own.pane?.escape(),
    };
    own.help = [['1 … 9', keyWords.sources]];
  }, []);
  const begin = useMemo(() => (made) => { reading.current = made; redraw(); return line ? seek(made, line, Number(params.get('t')) || 0, setProblem) : undefined; }, []);
  const shown = names || byName().map((watcher) => watcher.name);
  const parts = split && shown.length > 1 ? shown.slice(0, PARTS) : null;
  const none = names && !names.length;
  const blank = none ? html`<div class="blank first"><p>${say.nothingMatches(patterns.join(' '))}</p></div>` : html`<div class="blank first"><p>${say.noLine}</p></div>`;
  const tools = shown.length > 1 && html`<div class="row"><span>${read.windows}</span><div class="seg small" role="group" aria-label=${read.windows}><button type="button" aria-pressed=${String(!split)} onClick=${() => setSplit(false)}>${read.together}</button><button type="button" aria-pressed=${String(split)} onClick=${() => setSplit(true)}>${read.sideBySide}</button></div></div>`;
  const made = reading.current;
  const above = html`${problem && html`<div class="note" role="alert"><span class="st is-wait">${mark('wait')}<span>${problem}</span></span><button class="btn small quiet" type="button" onClick=${() => setProblem('')}>${say.closeIt}</button></div>`}
    ${made && html`<${Times} reading=${made} />`}`;
  const sources = html`<button class="btn small sources" type="button" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>${icon('list')}${read.sources} <span class="n">${count(shown.length)}</span></button>`;
  return html`<main id="page" class="page reader-page"><h1 class="only-heard">${read.logsOf(count(shown.length), shown.length !== 1)}</h1>
    ${made && html`<${Sources} reading=${made} patterns=${patterns} names=${names} setPatterns=${setPatterns} query=${query} setQuery=${setQuery} open=${open} />`}
    <${Reader} feed=${feed} watchers=${watchers} query=${query} setQuery=${setQuery} blank=${blank} split=${parts} tools=${tools} above=${above} at=${begin} search=${sources} />
  </main>`;
}
