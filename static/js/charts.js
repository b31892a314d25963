// The charts of a watcher: processor, memory, processes and restarts, with one cursor, one range and the events over all.

import { useEffect, useReducer, useRef, useState } from '../vendor/hooks.js';
import { amount, html, icon, mark, tone } from './shapes.js';
import { Chart, sourceOf } from './chart.js';
import { bytes, clock, count, percent, word } from './format.js';
import { call } from './commands.js';
import { moment } from './moment.js';
import { nextTry } from './parts.js';
import { isLive, now, store, subscribe } from './store.js';
import { HOUR, listen, restartsIn, summary, trackOf } from './track.js';
import { charts as say } from './words.js';

const RANGES = [[300, '5 min'], [900, '15'], [HOUR, '1 h']];
const LEAST = 10; // seconds that can be zoomed to
const NEAR = 9; // pixels within which events share a mark
const ROWS = 20; // of the table
const KINDS = [
  { kind: 'cpu', title: say.cpu, height: 92, text: percent, axis: (value) => `${Number(value.toPrecision(3))} %` },
  { kind: 'rss', title: say.memory, height: 82, text: bytes, axis: (value) => (value ? bytes(value).join(' ') : '0') },
  { kind: 'count', title: say.processes, height: 52, text: (value) => (value === null ? null : [count(value), '']), axis: (value) => String(value) },
  { kind: 'restarts', title: say.restarts, height: 52, text: (value) => (value === null ? null : [count(value), '']), axis: (value) => String(value) },
];
const WORST = ['fail', 'wait', 'rest', 'start', 'run', 'lost'];

let chosen = RANGES[0][0]; // the range that a person wants, on each watcher's page

/** What the charts of a page share: the range, whether it goes on with the time, and where the cursor is. */
class View {
  constructor(name, changed) {
    this.key = `charts of ${name}`;
    this.name = name;
    this.changed = changed;
    this.span = chosen;
    this.held = null; // [from, to] while the time is held
    this.index = null;
    this.owner = null;
    this.charts = [];
    this.end = 0; // the time up to which something is known
  }

  get isLive() { return this.held === null; }
  get isZoomed() { return this.held !== null || this.span !== chosen; }
  plots() { return this.charts; }
  range() { return this.held || [this.end - this.span, this.end]; }

  show(from, to) {
    const span = Math.min(HOUR, Math.max(LEAST, to - from));
    // Whoever looks up to now goes on with the time.
    if (to >= this.end - 1.5) { this.held = null; this.span = span; } else this.held = [to - span, to];
    this.changed();
  }

  chosen(from, to) {
    this.show(from, to);
    this.go(from);
  }

  zoom(factor, at) {
    const [from, to] = this.range();
    const around = at === null || at === undefined || at > to ? to : at;
    this.show(around - (around - from) * factor, around + (to - around) * factor);
  }

  reset() {
    this.held = null;
    this.span = chosen;
    this.changed();
  }

  /** The log and the events go to that moment. */
  go(time) {
    moment.set(this.name, time);
  }

  moved(at) {
    if (at === this.index) return;
    this.index = at;
    this.changed(true);
  }
}

function figureAt(chart, index) {
  const last = chart.points.length - 1;
  const at = index === null ? last : index;
  return chart.points[at] ? chart.value(chart.points[at], at) : null;
}

/** Groups of events that stand so near to each other that they have one mark, with its place. */
function marksOf(chart, track, view) {
  const groups = [];
  const [left, right] = chart.edges;
  for (const event of track.within(...chart.range())) {
    const x = chart.placeOf(event.t);
    if (x < left || x > right) continue;
    const last = groups.at(-1);
    if (last && x - last.x < NEAR) last.events.push(event);
    else groups.push({ x, events: [event] });
  }
  for (const group of groups) {
    group.kind = WORST.find((kind) => group.events.some((event) => event.kind === kind));
    const shown = group.events.slice(-3);
    const more = group.events.length - shown.length;
    group.text = `${more > 0 ? `${say.andBefore(more)}; ` : ''}${shown.map((event) => `${clock(event.t)} ${event.text}`).join('; ')}`;
    group.t = group.events.at(-1).t;
  }
  return groups;
}

function Marks({ groups, view, track, coming, chart }) {
  const [at, setAt] = useState(-1);
  const [open, setOpen] = useState(null);
  const strip = useRef();
  const current = Math.min(at < 0 ? groups.length - 1 : at, groups.length - 1);
  const move = (event) => {
    const to = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: groups.length - 1 }[event.key];
    if (to === undefined || !groups[to]) return;
    event.preventDefault();
    setAt(to);
    strip.current.children[to]?.focus();
  };
  const shown = open === null ? null : groups[open];
  const ahead = coming === null ? null : chart.placeOf(coming);
  return html`<div class="marks" role="toolbar" aria-label=${say.happened} onKeyDown=${move}>
    <div class="strip" ref=${strip}>${groups.map((group, i) => html`<button key=${`${group.t}`} type="button" class=${`mark ${tone[group.kind] || 'is-plum'}`} style=${{ left: `${group.x.toFixed(1)}px` }}
      tabindex=${i === current ? 0 : -1} aria-label=${group.text} onClick=${() => view.go(group.t)}
      onFocus=${() => { setAt(i); setOpen(i); }} onBlur=${() => setOpen(null)} onPointerEnter=${() => setOpen(i)} onPointerLeave=${() => setOpen(null)}>${group.kind === 'lost' ? icon('edit') : mark(group.kind)}</button>`)}</div>
    ${ahead !== null && ahead < chart.edges[1] && html`<span class="mark hollow is-wait" style=${{ left: `${ahead.toFixed(1)}px` }} title=${`${say.nextTry} ${clock(coming)}`}><svg class="shape" viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2.6 14.2 13.4H1.8z" stroke="currentColor" stroke-width="1.4" /></svg></span>`}
    ${shown && html`<div class=${`tip said ${shown.x > (chart.edges[0] + chart.edges[1]) / 2 ? 'to-left' : ''}`} role="presentation" style=${{ left: `${shown.x.toFixed(1)}px` }}>${shown.events.slice(-6).map((event) => html`<p><time>${clock(event.t)}</time> <span>${event.text}</span></p>`)}
      ${shown.events.length > 6 && html`<p class="dim">${say.andBefore(shown.events.length - 6)}</p>`}</div>`}
  </div>`;
}

/** What each process takes under the cursor. */
function Tip({ chart, index, kind }) {
  const point = chart.points[index];
  if (!point) return null;
  const x = chart.placeOf(point.t);
  const parts = point.wids && (kind.kind === 'cpu' || kind.kind === 'rss') ? Object.entries(point.wids) : [];
  const place = kind.kind === 'cpu' ? 0 : 1;
  const value = chart.value(point, index);
  return html`<div class=${`tip ${x > (chart.edges[0] + chart.edges[1]) / 2 ? 'to-left' : ''}`} style=${{ left: `${x.toFixed(1)}px` }} role="presentation"><p><time>${clock(point.t)}</time>${point.step > 1.5 && html` <span class="dim">${say.meanOf(Math.round(point.step))}</span>`}</p>
    ${parts.length > 1 && parts.slice(0, 8).map(([wid, load]) => html`<p><i class=${`swatch c${sourceOf(Number(wid))}`}></i><span>${wid}</span>${amount(kind.text(load[place]))}</p>`)}
    ${parts.length > 8 && html`<p class="dim">${say.more(parts.length - 8)}</p>`}
    <p><i class="swatch none"></i><span>${parts.length > 1 ? say.all : kind.title}</span>${value === null ? html`<span class="dim">${say.nothingRan}</span>` : amount(kind.text(value))}</p></div>`;
}

function words(kind, points, range) {
  const span = say.span(Math.round(range[1] - range[0]));
  if (kind.kind === 'restarts') return say.saidRestarts(span, restartsIn(points));
  const found = summary(points, kind.kind);
  if (!found) return say.saidNothing(span);
  const text = (value) => (value === null ? say.nothingRan : kind.text(value).join(' ').trim());
  return say.said(span, text(found.last), text(found.least), text(found.most), text(found.mean));
}

function Table({ points }) {
  const every = Math.max(1, Math.ceil(points.length / ROWS));
  const rows = points.filter((_, i) => (points.length - 1 - i) % every === 0).reverse();
  const cell = (pair) => (pair ? pair.join(' ') : '–');
  return html`<div class="rows-box" tabindex="0" role="group" aria-label=${say.table}><table class="tab compact"><thead><tr>${[say.time, say.cpu, say.memory, say.processes, say.restarts].map((title, i) => html`<th scope="col" class=${i ? 'num' : ''}>${title}</th>`)}</tr></thead>
    <tbody>${rows.map((point) => html`<tr key=${point.t}><th scope="row">${clock(point.t)}</th><td class="num">${cell(percent(point.cpu))}</td><td class="num">${cell(bytes(point.rss))}</td><td class="num">${point.count ?? '–'}</td><td class="num">${point.restarts ?? '–'}</td></tr>`)}</tbody></table></div>`;
}

export function Charts({ watcher }) {
  const { name } = watcher;
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  const [problem, setProblem] = useState('');
  const [hovered, setHovered] = useState('');
  const [spoken, setSpoken] = useState('');
  const [open, setOpen] = useState(false);
  const hosts = useRef({});
  const held = useRef(null);
  if (!held.current) held.current = { track: trackOf(name), view: null, drawn: -1 };
  const { track } = held.current;

  useEffect(() => {
    let frame = 0;
    const draw = () => {
      frame = 0;
      if (document.hidden) return;
      view.end = Math.max(track.points.at(-1)?.t || 0, isLive() ? now() - 1.5 : 0);
      for (const chart of view.charts) chart.update();
      held.current.drawn = track.version;
      redraw();
    };
    const view = new View(name, (cursorOnly) => { if (cursorOnly) redraw(); else if (!frame) frame = requestAnimationFrame(draw); });
    held.current.view = view;
    view.charts = KINDS.map(({ kind, height, axis }) => new Chart(hosts.current[kind], { kind, track, view, height, format: axis }));
    let away = false;
    let asked = '';
    const ask = () => {
      asked = `${store.daemon?.epoch} ${store.link.since}`;
      call('history', { name, match: 'simple' }).then((reply) => { if (!away) { track.seed(reply); setProblem(''); draw(); } }, (error) => { if (!away) setProblem(error.message); });
    };
    const unsubscribe = subscribe(() => {
      listen();
      // After a lost connection, and of another circusd, what was missed is asked for.
      if (isLive() && asked !== `${store.daemon?.epoch} ${store.link.since}`) ask();
      if (track.version !== held.current.drawn && !frame) frame = requestAnimationFrame(draw);
    });
    listen();
    ask();
    draw();
    const unpaint = window.circusTheme.onChange(draw); // a canvas keeps what was drawn
    return () => {
      away = true;
      cancelAnimationFrame(frame);
      unpaint();
      unsubscribe();
      for (const chart of view.charts) chart.destroy();
    };
  }, [name]);

  const { view } = held.current;
  const points = view ? view.charts[0].points : [];
  const wids = [...new Set(points.flatMap((point) => (point.wids ? Object.keys(point.wids) : [])))].map(Number).sort((a, b) => a - b);
  const groups = view ? marksOf(view.charts[0], track, view) : [];
  const next = nextTry(watcher);
  const pick = (span) => { chosen = span; view.reset(); redraw(); };

  const onKey = (kind) => (event) => {
    const chart = view.charts.find((one) => one.kind === kind.kind);
    const last = chart.points.length - 1;
    const at = view.index ?? last;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: last }[event.key];
    const time = chart.points[Math.min(at, last)]?.t;
    if (to !== undefined) {
      const index = Math.min(last, Math.max(0, to));
      chart.point(index);
      const point = chart.points[index];
      if (point) setSpoken(`${clock(point.t)}, ${kind.title}: ${(kind.text(chart.value(point, index)) || [say.nothingRan]).join(' ')}`);
    } else if (event.key === '+' || event.key === '=') view.zoom(1 / 1.5, time);
    else if (event.key === '-') view.zoom(1.5, time);
    else if (event.key === '0' || (event.key === 'Escape' && view.isZoomed)) view.reset();
    else if (event.key === 'Enter' && time) view.go(time);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return html`<section class="sheet charts" aria-labelledby="ch-h" data-ctl=${`circusctl history ${word(name)}`}>
    <header><h2 id="ch-h">${say.title}</h2><span class="dim hide-s">${wids.length > 1 ? say.stacked : ''}</span>
      <span class="legend" aria-hidden="true">${wids.length > 1 && wids.slice(0, 8).map((wid) => html`<span><i class=${`swatch c${sourceOf(wid)}`}></i>${wid}</span>`)}${wids.length > 8 && html`<span class="dim">+${wids.length - 8}</span>`}</span>
      <span class="grow"></span>
      ${view?.isZoomed && html`<button class="btn small" type="button" onClick=${() => view.reset()} title=${say.backWhy}>${view.isLive ? say.unzoom : say.backToNow}</button>`}
      <div class="seg small" role="group" aria-label=${say.rangeOf}>${RANGES.map(([span, text]) => html`<button type="button" aria-pressed=${String(chosen === span && !view?.isZoomed)} aria-label=${say.span(span)} onClick=${() => pick(span)}>${text}</button>`)}</div></header>
    ${problem && html`<p class="dim said" role="status">${say.noHistory} ${problem}</p>`}
    <div class="plots">${KINDS.map((kind, i) => {
      const chart = view?.charts[i];
      const value = chart ? figureAt(chart, view.index) : null;
      return html`<div key=${kind.kind} class=${`plot p-${kind.kind}`}>
        <div class="cap"><h3>${kind.title}</h3><span class="value">${amount(value === null ? null : kind.text(value))}</span>${kind.kind === 'restarts' && html`<span class="dim hide-s">${say.inRange}</span>`}
          ${!i && html`<span class="grow"></span><span class="keyof hide-s" aria-hidden="true"><span class="is-wait">${mark('wait')}</span>${say.exit}<span class="is-start">${mark('start')}</span>${say.start}<span class="is-plum">${icon('edit')}</span>${say.set}</span>`}</div>
        ${!i && chart && html`<${Marks} groups=${groups} view=${view} track=${track} chart=${chart} coming=${view.isLive ? next : null} />`}
        <div class="canvas-box" role="img" tabindex="0" aria-label=${say.chartOf(kind.title, name)} aria-describedby=${`ch-${kind.kind}`} ref=${(element) => { hosts.current[kind.kind] = element; }}
          onKeyDown=${onKey(kind)} onPointerEnter=${() => setHovered(kind.kind)} onPointerLeave=${() => setHovered('')} onFocus=${() => setHovered(kind.kind)} onBlur=${() => setHovered('')}></div>
        ${chart && view.index !== null && hovered === kind.kind && html`<${Tip} chart=${chart} index=${view.index} kind=${kind} />`}
        <p class="only-heard" id=${`ch-${kind.kind}`}>${chart ? words(kind, chart.points, view.range()) : ''} ${say.howTo}</p></div>`;
    })}</div>
    <p class="only-heard" role="status">${spoken}</p>
    <details class="as-table" onToggle=${(event) => setOpen(event.target.open)}><summary>${say.table}</summary>${open && html`<${Table} points=${points} />`}</details>
  </section>`;
}
