// The log of one watcher: its bar, the window over its lines, and one line in full.

import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from '../vendor/hooks.js';
import { nodes } from './ansi.js';
import { clock, clockFine, count, word } from './format.js';
import { html, icon, mark } from './shapes.js';
import { follow } from './live.js';
import { LEVELS } from './level.js';
import { Lines, pattern, STREAMS } from './lines.js';
import { LogView } from './logview.js';
import { own } from './pages.js';
import { store, subscribe } from './store.js';
import { say, verbs } from './words.js';

const HISTORY_LINES = 5000;
const EVENT_LEVELS = { 'process.exited': 3, 'process.backoff': 3, 'process.failed': 4, 'process.abandoned': 4, 'process.refused': 4, 'watcher.failed': 4, 'process.started': 2, 'watcher.started': 2, 'watcher.stopped': 1 };
const EVENT_WAIT = 400; // milliseconds
const HISTORY_WAIT = 2000; // milliseconds for the lines of before, which events are not to overtake
const BEFORE = 60; // seconds before the first line from which events are shown
const SPEAK = 10000; // milliseconds between two counts that are spoken

/** The lines of a watcher, kept up to date for as long as somebody looks. */
class Feed {
  constructor(watcher) {
    this.lines = new Lines();
    this.numbers = new Map(); // by source: the number of its last line
    this.epoch = store.daemon?.epoch;
    this.placed = new Set(); // numbers of the events that are among the lines, or too old for them
    this.waiting = []; // events that are to be placed by their time, oldest first
    this.timer = 0;
    this.error = null;
    this.fresh = () => {};
    this.opening = false; // whether nothing has come since then at all
    this.joining = new Set(); // sources of which nothing has come since the stream was opened anew
    this.stop = follow(watcher, HISTORY_LINES, {
      take: (data) => this.take(data),
      ended: (error) => { this.error = error; this.fresh(); },
      opened: () => {
        this.joining = new Set(this.numbers.keys());
        this.opening = true;
        // Now, and not with the next frame: the lines that they stand among are on their way.
        this.takeEvents(watcher);
      },
    });
    this.unsubscribe = subscribe(() => this.takeEvents(watcher));
    this.takeEvents(watcher);
  }

  close() {
    this.stop();
    clearTimeout(this.timer);
    this.unsubscribe();
  }

  take(data) {
    if (store.daemon && store.daemon.epoch !== this.epoch) {
      // Another circusd counts its lines anew.
      this.epoch = store.daemon.epoch;
      this.numbers.clear();
      this.placed.clear();
    }
    this.error = null;
    this.opening = false;
    const stream = data.stream === 'stderr' ? 1 : 0;
    const source = data.wid * 2 + stream;
    let last = this.numbers.get(source);
    let told = data.skipped || 0;
    for (const [number, time, text] of data.lines) {
      if (last !== undefined && number <= last) continue; // came with the history, and again
      const missing = last === undefined ? told : Math.max(number - last - 1, 0);
      this.place(time, data.pid);
      if (missing) this.lines.gap(data.wid, time, missing, this.joining.has(source) ? say.missedWhy : say.skippedWhy);
      this.joining.delete(source);
      told = 0;
      last = number;
      this.lines.line(data.wid, stream, data.pid || 0, number, time, text);
    }
    if (last !== undefined) this.numbers.set(source, last);
    if (told && !data.lines.length) this.lines.gap(data.wid, store.daemonLoad.time || Date.now() / 1000 + store.skew, told, say.skippedWhy);
    this.fresh();
  }

  takeEvents(watcher) {
    const low = watcher.toLowerCase();
    let came = false;
    for (const event of store.events) { // newest first
      if (this.placed.has(event.number) || event.watcher?.toLowerCase() !== low) continue;
      this.placed.add(event.number);
      this.waiting.push(event);
      came = true;
    }
    if (!came) return;
    this.waiting.sort((a, b) => a.number - b.number);
    // What was written before it comes by another way, and may still be on it.
    this.timer ||= setTimeout(() => { this.timer = 0; this.place(Infinity); this.fresh(); }, this.opening ? HISTORY_WAIT : EVENT_WAIT);
  }

  /**
   * Puts the events of up to that time behind the last line; those much older than all lines are not shown. The end of
   * process `pid`, of which a line is to come, waits for it: a death is seen sooner than the last words are read.
   */
  place(time, pid) {
    const last = this.lines.count ? this.lines.time(this.lines.next - 1) : time === Infinity ? -Infinity : time - BEFORE;
    while (this.waiting.length && this.waiting[0].time <= time) {
      if (pid && this.waiting[0].event === 'process.exited' && this.waiting[0].pid === pid) break;
      const event = this.waiting.shift();
      // "1 started" says less here than in the list of events.
      const text = event.wid && event.text.startsWith(`${event.wid} `) ? `process ${event.text}` : event.text;
      if (event.time >= last - 1) this.lines.event(event.wid || 0, event.time, text, EVENT_LEVELS[event.event] ?? 1);
    }
  }
}

/** What a person chose to see, as one test of a row; null when everything is to be seen. */
function chosen(typed, streams, levels) {
  const test = pattern(typed);
  const all = streams.every(Boolean) && levels.every(Boolean);
  if (!test && all) return null;
  return (lines, row, text) => streams[lines.stream(row)] && levels[lines.level(row)] && (!test || test(text));
}

function Line({ lines, row, onClose }) {
  const text = useRef();
  const gone = row < lines.first;
  useLayoutEffect(() => { if (!gone) text.current.replaceChildren(...nodes(lines.text(row), lines.style(row))); }, [row, gone]);
  if (gone) return null;
  const copy = () => navigator.clipboard?.writeText(lines.text(row)).catch(() => {});
  return html`<section class="whole" aria-label=${say.inFull}><header>
      <b>${clockFine(lines.time(row))}</b><span>${say.lineOf(lines.wid(row), lines.pid(row))}</span><span>${STREAMS[lines.stream(row)]}</span><span>${say.lineNumber(count(lines.number(row)))}</span>
      <span class="grow"></span><button class="btn small" type="button" onClick=${copy}>${icon('copy')}${say.copyLine}</button><button class="btn small" type="button" onClick=${onClose}>${verbs.close} <kbd>Esc</kbd></button></header>
    <pre ref=${text} dir="auto" tabindex="0"></pre></section>`;
}

/** The handle by which keys reach the pane that is shown. */
export const shownPane = { toggle: null, end: null, home: null, escape: null };

export function Pane({ watcher }) {
  const name = watcher.name;
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  const [typed, setTyped] = useState('');
  const [streams, setStreams] = useState([true, true]);
  const [levels, setLevels] = useState([true, true, true, true, true]);
  const [whole, setWhole] = useState(-1);
  const [spoken, setSpoken] = useState('');
  const scroller = useRef();
  const view = useRef(null);
  const feed = useMemo(() => new Feed(name), [name]);
  const { lines } = feed;

  useEffect(() => {
    let timer = 0;
    // The bar is drawn a few times a second, however fast the lines come.
    const changed = () => { timer ||= setTimeout(() => { timer = 0; redraw(); }, 150); };
    const made = new LogView(scroller.current, lines, changed);
    view.current = made;
    feed.fresh = () => { made.schedule(); if (document.hidden) changed(); };
    let last = lines.next;
    const speak = setInterval(() => {
      if (lines.next > last && made.following) setSpoken(say.newLines(count(lines.next - last)));
      last = lines.next;
    }, SPEAK);
    shownPane.toggle = () => (made.following ? made.hold(Date.now() / 1000) : made.follow());
    shownPane.end = () => made.follow();
    shownPane.home = () => made.home();
    own.pane = { toTime: (time) => made.toTime(time) };
    shownPane.escape = () => { setTyped(''); setWhole(-1); };
    return () => {
      clearInterval(speak);
      clearTimeout(timer);
      for (const key of Object.keys(shownPane)) shownPane[key] = null;
      own.pane = null;
      made.destroy();
      feed.close();
    };
  }, [feed]);

  let problem = '';
  let filter;
  try { filter = chosen(typed, streams, levels); } catch (error) { problem = say.badPattern(error.message); }
  const key = JSON.stringify([typed, streams, levels]);
  useEffect(() => {
    if (problem) return undefined;
    const later = setTimeout(() => { lines.setFilter(filter); view.current.reset(); }, lines.count > 20000 ? 120 : 0);
    return () => clearTimeout(later);
  }, [key, feed]);

  const turn = (list, set, at) => set(list.map((on, i) => (i === at ? !on : on)));
  const following = view.current ? view.current.following : true;
  const pick = (event) => {
    const row = view.current.rowOf(event.target);
    if (row >= 0 && !String(document.getSelection())) setWhole(row === whole ? -1 : row);
  };
  const levelChips = [4, 3, 2, 1].filter((level) => lines.levels[level] > 0 || !levels[level]);
  const hidden = lines.count - lines.shown;
  return html`<section class="sheet pane" aria-labelledby="l-h">
    <div class="bar"><h2 id="l-h">${say.log}</h2>
      <label class="in filter">${icon('find')}<span class="only-heard">${say.filterTheLines}</span><input type="text" id="filter" placeholder=${say.filterLines} spellcheck="false" autocomplete="off" aria-keyshortcuts="/"
        value=${typed} aria-invalid=${problem ? 'true' : undefined} aria-describedby=${problem ? 'l-bad' : undefined} onInput=${(event) => setTyped(event.target.value)} />${hidden > 0 && html`<span class="dim">${say.linesHidden(count(hidden))}</span>`}<kbd>/</kbd></label>
      ${problem && html`<span class="is-fail" id="l-bad" role="alert">${problem}</span>`}
      ${levelChips.length > 0 && html`<div class="lvls" role="group" aria-label=${say.levels}>${levelChips.map((level) => html`<button class=${`lvl ${level === 4 ? 'e' : level === 3 ? 'w' : ''}`} type="button" title=${LEVELS[level].label}
        aria-pressed=${String(levels[level])} onClick=${() => turn(levels, setLevels, level)}><b>${LEVELS[level].word}</b>${count(lines.levels[level])}</button>`)}</div>`}
      <span class="grow hide-s"></span>
      <div class="seg small" role="group" aria-label=${say.streams}>${STREAMS.map((stream, at) => html`<button type="button" aria-pressed=${String(streams[at])} onClick=${() => turn(streams, setStreams, at)}>${stream}</button>`)}</div>
      <button class="btn small" type="button" aria-pressed=${String(following)} aria-keyshortcuts="f" data-ctl=${`circusctl tail ${word(name)} --follow`} onClick=${() => shownPane.toggle()}>${icon('down')}${following ? verbs.following : verbs.follow} <kbd>f</kbd></button>
    </div>
    ${feed.error && html`<div class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${feed.error.text || feed.error}</span></span></div>`}
    ${!watcher.output.captured ? html`<div class="blank"><p>${say.notCaptured} ${watcher.output.why}</p></div>`
      : lines.count === 0 ? html`<div class="blank first"><p>${say.noLine} ${watcher.output.why}</p></div>`
      : lines.shown === 0 && html`<div class="blank first"><p>${say.noLineMatches(count(lines.count))}</p></div>`}
    <div class="log one" role="log" aria-live="off" aria-labelledby="l-h" tabindex="0" ref=${scroller} onClick=${pick}></div>
    <p class="only-heard" role="status">${spoken}</p>
    ${!following && html`<div class="held"><span>${say.heldAt} ${clock(view.current.heldAt + store.skew)}</span><b data-new>${say.newLines(count(Math.max(0, view.current.fresh)))}</b>
      <button class="btn main" type="button" onClick=${() => view.current.follow()}>${icon('down')}${verbs.follow} <kbd>f</kbd></button></div>`}
    ${whole >= 0 && html`<${Line} lines=${lines} row=${whole} onClose=${() => setWhole(-1)} />`}
  </section>`;
}
