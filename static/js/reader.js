// A log as it is read: the bar above it, the window over its lines, one line in full, and all that keys do.

import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from '../vendor/hooks.js';
import { hasEscapes, strip } from './ansi.js';
import { clock, count, word } from './format.js';
import { html, icon, mark } from './shapes.js';
import { lineId } from './feed.js';
import { LINE } from './lines.js';
import { LogView, plainLook } from './logview.js';
import { Pattern } from './match.js';
import { Finding, Found } from './search.js';
import { Sieve } from './sieve.js';
import { base } from './page.js';
import { own } from './pages.js';
import { colourOf, dayOf, dayWord, habits, lineClock, parsed, picksOf } from './query.js';
import { Bar } from './logbar.js';
import { Whole } from './wholeline.js';
import { store } from './store.js';
import { read, say, verbs } from './words.js';

const SPEAK = 10000; // milliseconds between two counts that are spoken
const BEAT = 150; // milliseconds between two drawings of what stands around the lines
const COPY_LINES = 50000; // at most

const bareOf = (lines, row) => { const text = lines.text(row); return hasEscapes(text) ? strip(text) : text; };

/** The state of one reader that is no part of what is drawn: windows, sieves, patterns. */
export class Reading {
  constructor(feed) {
    this.feed = feed;
    this.look = plainLook();
    Object.assign(this.look, { clock: lineClock, day: dayOf, dayWord });
    this.views = []; // the first one is that of the keys; each with the watcher that it shows alone, if any
    this.pattern = null;
    this.find = null;
    this.changed = () => {};
    this.marks = new Sieve(feed.lines, () => this.schedule());
    feed.fresh = () => { this.schedule(); if (document.hidden) this.changed(); };
    feed.moved = (moved) => this.moved(moved);
  }

  get lines() { return this.feed.lines; }
  get view() { return this.views[0]; }

  schedule() { for (const view of this.views) view.schedule(); }

  moved(moved) {
    for (const name of ['at', 'here', 'now']) if (this.look[name] >= 0 && this.look[name] < moved.at) this.look[name] -= moved.by;
    if (this.look.chosen) this.look.chosen = this.look.chosen.map((row) => (row < moved.at ? row - moved.by : row));
    this.anchorRow = -1;
    for (const view of this.views) view.moved(moved);
  }

  open(scroller, only, index) {
    const sieve = new Sieve(this.lines, () => view.schedule());
    const view = new LogView(scroller, this.lines, sieve, this.look, {
      changed: () => { if (this.find && this.marks.advance(4)) view.schedule(); this.changed(); },
      older: () => this.feed.older(),
      newer: () => this.feed.newer(),
      scrolledTo: (time) => this.together(view, time),
    });
    Object.assign(view, { only, index });
    this.views = [...this.views, view].sort((a, b) => a.index - b.index);
    if (this.wanted) this.sift(view);
    return () => {
      view.destroy();
      this.views = this.views.filter((other) => other !== view);
    };
  }

  /** Where several windows stand side by side, all show the same time. */
  together(view, time) {
    for (const other of this.views) if (other !== view) other.showTime(time);
  }

  /** Shows what the query says; see `query.js`. */
  choose(query, watchers, folded) {
    const wanted = parsed(query.q, query.exact);
    const find = parsed(query.find, query.exact);
    this.problem = wanted.problem || '';
    this.findProblem = find.problem || '';
    if (wanted.problem || find.problem) return;
    this.pattern?.close();
    this.find?.close();
    this.pattern = wanted.pattern && new Pattern(wanted.pattern);
    this.find = find.pattern && new Pattern(find.pattern);
    this.wanted = { query, names: watchers && new Set(watchers.map((name) => name.toLowerCase())), folded };
    this.look.patterns = [...(this.pattern && !this.pattern.inverse ? [[this.pattern, 'soft']] : []), ...(this.find && !this.find.inverse ? [[this.find, '']] : [])];
    this.look.columns = query.columns;
    this.look.folded = folded;
    this.look.turned = new Set();
    this.look.now = -1;
    this.redraw();
    for (const view of this.views) this.sift(view);
    const { reads } = this.sifting('');
    this.marks.set(this.find ? { reads, picks: picksOf(query), pattern: this.find, lone: true } : {});
  }

  sifting(only) {
    const { query, names } = this.wanted;
    const { streams } = query;
    const alone = only && only.toLowerCase();
    const anything = !names && !alone && streams.every(Boolean);
    const reads = anything ? null : (source) => (source.stream === 2 || streams[source.stream]) && (!alone || source.watcher.toLowerCase() === alone) && (!names || names.has(source.watcher.toLowerCase()));
    return { reads, picks: picksOf(query), pattern: this.pattern, before: query.before, after: query.after, folded: this.wanted.folded, turned: this.look.turned };
  }

  sift(view) {
    view.sieve.set(this.sifting(view.only));
    view.reset();
  }

  /** One trace is folded or unfolded. */
  turn(head) {
    const { turned } = this.look;
    if (turned.has(head)) turned.delete(head); else turned.add(head);
    this.redraw();
    for (const view of this.views) this.sift(view);
  }

  redraw() {
    this.look.version += 1;
    this.schedule();
  }

  /** Rows with a match that can be seen, and which of them one is at. */
  matches() {
    if (!this.find || !this.view) return null;
    const { rows, from } = this.marks;
    const { sieve } = this.view;
    let total = 0;
    let place = 0;
    for (let at = from; at < rows.length; at += 1) {
      if (!sieve.all && !sieve.has(rows[at])) continue;
      total += 1;
      if (rows[at] === this.look.now) place = total;
    }
    return { total, place, rows };
  }

  /** To the next match (by 1) or the one before (by -1), and round. */
  step(by) {
    if (!this.find || !this.view) return;
    const { sieve } = this.view;
    const rows = this.marks.rows.slice(this.marks.from).filter((row) => sieve.all || sieve.has(row));
    if (!rows.length) return;
    const sight = this.view.sight;
    const from = this.look.now >= 0 ? this.look.now : by > 0 ? sight[0] - 1 : sight[1] + 1;
    const found = by > 0 ? rows.find((row) => row > from) ?? rows[0] : rows.findLast((row) => row < from) ?? rows[rows.length - 1];
    this.look.now = found;
    this.view.show(found);
    this.changed();
  }

  /** The line of the keys moves by so many of those that are shown; with `extend` all between are chosen. */
  go(by, extend) {
    const { view, look } = this;
    if (!view || !view.sieve.shown) return -1;
    const { sieve } = view;
    const place = look.at >= 0 ? sieve.placeOf(look.at) : sieve.placeOf(by > 0 ? view.sight[0] : view.sight[1]) - by;
    let next = Math.min(sieve.shown - 1, Math.max(0, place + by));
    while (next > 0 && next < sieve.shown - 1 && this.lines.kind(sieve.at(next)) !== LINE) next += Math.sign(by);
    const row = sieve.at(next);
    this.pick(row, extend);
    view.show(row);
    return row;
  }

  pick(row, extend) {
    const { look } = this;
    if (extend && look.at >= 0) {
      if (!look.chosen) this.anchorRow = look.at;
      const from = this.anchorRow >= 0 ? this.anchorRow : look.at;
      look.chosen = [Math.min(from, row), Math.max(from, row)];
    } else {
      look.chosen = null;
      this.anchorRow = row;
    }
    look.at = row;
    this.schedule();
    this.changed();
  }

  /** The rows that are meant by a copy: those that were chosen, or the one of the keys. */
  chosenRows() {
    const { look, view } = this;
    if (!look.chosen) return look.at >= this.lines.first && look.at >= 0 ? [look.at] : [];
    const rows = [];
    const { sieve } = view;
    for (let place = sieve.placeOf(look.chosen[0]); place < sieve.shown && sieve.at(place) <= look.chosen[1] && rows.length < COPY_LINES; place += 1) rows.push(sieve.at(place));
    return rows.filter((row) => this.lines.kind(row) === LINE);
  }

  shownRows() {
    const { sieve } = this.view;
    const rows = [];
    for (let place = 0; place < sieve.shown; place += 1) if (this.lines.kind(sieve.at(place)) === LINE) rows.push(sieve.at(place));
    return rows;
  }

  /** Rows as text: with whose they are where that is not clear. */
  text(rows) {
    const { lines, look } = this;
    return rows.map((row) => `${look.named ? `${lineClock(lines.time(row))} ${lines.source(row).watcher} ${lines.wid(row)} ` : ''}${bareOf(lines, row)}\n`).join('');
  }

  /** Shows that line; one that is not here is asked for, with what stood around it. Tells whether it is there. */
  async seek(line) {
    const show = () => {
      const from = this.lines.byName.get(`${line.stream}.${line.wid}.${line.watcher}`);
      const row = from === undefined || line.epoch !== this.feed.epoch ? -1 : this.lines.rowOf(from, line.number);
      if (row < 0 || !this.view) return false;
      this.look.here = row;
      this.pick(row, false);
      this.view.show(row);
      return true;
    };
    return show() || (Boolean(await this.feed.around(line)) && show());
  }

  address(row) {
    const params = new URLSearchParams({ w: this.lines.source(row).watcher, line: lineId(this.lines, row), t: this.lines.time(row).toFixed(3) });
    return `${base}/logs/?${params}`;
  }

  close() {
    this.pattern?.close();
    this.find?.close();
    this.feed.close();
  }
}

/** One window over the lines; several of them may stand side by side. */
export function Window({ reading, only = '', index = 0, label, one, line, onPick }) {
  const scroller = useRef();
  useEffect(() => reading.open(scroller.current, only, index), [reading, only, index]);
  const classes = ['log', one && 'one', habits.wrap && 'wrap', habits.compact && 'compact'].filter(Boolean).join(' ');
  return html`<div class=${classes} role="log" aria-live="off" aria-label=${label} data-ctl=${line} tabindex="0" ref=${scroller} onClick=${onPick} onMouseDown=${(event) => { if (event.shiftKey) event.preventDefault(); }}></div>`;
}

function Held({ reading }) {
  const { view, feed } = reading;
  if (!view || (view.following && !feed.past)) return null;
  if (feed.past) {
    return html`<div class="held"><span>${read.inPast}</span><button class="btn main" type="button" onClick=${() => own.pane.follow()}>${icon('down')}${verbs.follow} <kbd>f</kbd></button></div>`;
  }
  const errors = view.freshErrors;
  return html`<div class="held"><span>${say.heldAt} ${clock(view.heldAt)}</span><b data-new>${say.newLines(count(Math.max(0, view.fresh)))}</b>
    ${errors > 0 && html`<span class="st is-fail">${mark('fail')}<span class="word">${read.errors(count(errors), errors !== 1)}</span></span>`}
    <button class="btn main" type="button" onClick=${() => own.pane.follow()}>${icon('down')}${verbs.follow} <kbd>f</kbd></button></div>`;
}

function Chosen({ reading }) {
  const { look } = reading;
  if (!look.chosen) return null;
  const rows = reading.chosenRows();
  const copy = () => own.pane.copy();
  return html`<div class="taken" role="status"><b>${read.chosen(count(rows.length), rows.length !== 1)}</b><button class="btn small" type="button" onClick=${copy}>${icon('copy')}${verbs.copyThem} <kbd>c</kbd></button>
    <button class="btn small quiet" type="button" onClick=${() => { look.chosen = null; reading.schedule(); reading.changed(); }}>${verbs.clear}</button></div>`;
}

/**
 * A reader of `feed`. `watchers` are the names that are read (null: all), `query` what is shown, `setQuery` changes it. `split`
 * has the watchers that get a window each. `blank` is shown while there is no line.
 */
export function Reader({ feed, watchers, query, setQuery, heading, blank, split = null, tools = null, above = null, at = null, search = null }) {
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  const reading = useMemo(() => new Reading(feed), [feed]);
  const [whole, setWhole] = useState(-1);
  const [menu, setMenu] = useState('');
  const [seed, setSeed] = useState(''); // what the form for one more alert begins with
  const [spoken, setSpoken] = useState('');
  const [finding, setFinding] = useState(null);
  const { lines } = feed;
  const named = watchers === null || watchers.length !== 1;

  useEffect(() => {
    let timer = 0;
    // What stands around is drawn a few times a second, however fast the lines come.
    reading.changed = () => { timer ||= setTimeout(() => { timer = 0; redraw(); }, BEAT); };
    let last = lines.next;
    const speak = setInterval(() => {
      if (lines.next > last && reading.view?.following) setSpoken(say.newLines(count(lines.next - last)));
      last = lines.next;
    }, SPEAK);
    return () => {
      clearInterval(speak);
      clearTimeout(timer);
      timer = 0; // a search that has begun tells its end in the same way
      reading.changed = () => {};
      reading.close();
    };
  }, [reading]);

  reading.look.named = named && !split;
  reading.look.colour = named ? (source) => colourOf(source.watcher) : (source) => ((source.wid - 1) % 8 + 8) % 8 + 1;
  reading.look.wrap = habits.wrap;
  const key = JSON.stringify([query, watchers, habits.folded, habits.zone, habits.wrap, habits.compact, Boolean(split)]);
  useEffect(() => {
    const later = setTimeout(() => { reading.choose(query, watchers, habits.folded); redraw(); }, lines.count > 20000 ? 120 : 0);
    return () => clearTimeout(later);
  }, [key, reading]);

  useEffect(() => at?.(reading), [at, reading]);

  const pane = {
    reading,
    toggle: () => (reading.view.following && !feed.past ? reading.views.forEach((view) => view.hold()) : pane.follow()),
    follow: () => { if (feed.past) feed.begin(); reading.views.forEach((view) => view.follow()); reading.look.here = -1; redraw(); },
    end: () => pane.follow(),
    home: () => reading.view.home(),
    move: (by, extend) => { const row = reading.go(by, extend); if (row >= 0) setSpoken(bareOf(lines, row).slice(0, 300)); },
    open: () => { if (reading.look.at >= lines.first) setWhole(reading.look.at); },
    step: (by) => (reading.find ? reading.step(by) : document.getElementById('find-line')?.focus()),
    copy: async () => {
      const rows = reading.chosenRows();
      if (!rows.length) return;
      await navigator.clipboard?.writeText(reading.text(rows)).catch(() => {});
      setSpoken(read.copied(count(rows.length), rows.length !== 1));
    },
    link: async () => {
      const { at: row } = reading.look;
      if (row < lines.first || lines.kind(row) !== LINE) return;
      await navigator.clipboard?.writeText(location.origin + reading.address(row)).catch(() => {});
      setSpoken(read.linkCopied);
    },
    time: () => setMenu('time'),
    alert: async (line) => {
      setSeed(line === null ? query.q : (await import('./alerts.js')).like(line));
      setMenu('alert');
    },
    toTime: async (time) => {
      const isHere = !feed.past && lines.count > 0 && lines.time(lines.first) <= time;
      if (isHere || await feed.at(time)) reading.view.showTime(time);
    },
    wrap: () => own.pane.habit('wrap', !habits.wrap),
    search: () => { finding?.close(); if ((query.q || query.find) && !reading.problem && watchers?.length !== 0) setFinding(new Finding(watchers, query, reading.changed)); },
    unsearch: () => { finding?.close(); setFinding(null); },
    redraw,
    focused: () => Boolean(document.activeElement?.closest?.('.log')),
    escape: () => {
      if (menu) setMenu('');
      else if (whole >= 0) setWhole(-1);
      else if (finding) pane.unsearch();
      else if (reading.look.chosen) { reading.look.chosen = null; reading.schedule(); redraw(); }
      else setQuery({ ...query, q: '', find: '', fields: [] });
    },
  };
  // At once, and not after the next frame: a key that comes before it must find what is on the screen.
  useLayoutEffect(() => { own.pane = { ...own.pane, ...pane }; });
  useEffect(() => () => { own.pane = null; }, []);
  useEffect(() => () => finding?.close(), [finding]);
  // A line that was found is shown where it stands.
  const toFound = async (row) => {
    const found = finding.lines;
    const source = found.source(row);
    const there = found.number(row) ? await reading.seek({ watcher: source.watcher, wid: source.wid, stream: source.stream, number: found.number(row), epoch: store.daemon?.epoch, text: lineId(found, row) }) : null;
    if (!there) { if (await feed.at(found.time(row))) reading.view.showTime(found.time(row)); }
    pane.unsearch();
  };

  const pick = (event) => {
    const view = reading.views.find((one) => one.scroller === event.currentTarget) || reading.view;
    const row = view.rowOf(event.target);
    if (row < 0) return;
    if (event.target.closest('[data-fold]')) { reading.turn(row); return; }
    if (event.target.closest('[data-fetch]')) { feed.fetch(row); return; }
    if (lines.kind(row) !== LINE) return;
    if (event.shiftKey) { reading.pick(row, true); return; }
    if (String(document.getSelection())) return;
    reading.pick(row, false);
    setWhole(row === whole ? -1 : row);
  };

  const hidden = lines.count - (reading.view ? reading.view.sieve.shown : lines.count);
  const gaveUp = reading.pattern?.failed || reading.find?.failed;
  return html`<section class="sheet pane reader" aria-labelledby="l-h">
    <${Bar} reading=${reading} feed=${feed} query=${query} setQuery=${setQuery} hidden=${hidden} menu=${menu} setMenu=${setMenu} seed=${seed} heading=${heading} watchers=${watchers} tools=${tools} search=${search} pane=${pane} />
    ${above}
    ${gaveUp && html`<div class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${read.gaveUp}</span></span><span class="why">${read.gaveUpWhy}</span></div>`}
    ${feed.error && html`<div class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${feed.error.text || feed.error}</span></span><button class="btn small quiet" type="button" onClick=${() => { feed.error = null; redraw(); }}>${verbs.dismiss}</button></div>`}
    ${lines.count === 0 ? blank : reading.view?.sieve.shown === 0 && !reading.view.sieve.behind && html`<div class="blank first"><p>${say.noLineMatches(count(lines.count))}</p></div>`}
    <div class="stage">${split ? split.map((name, index) => html`<div class="part" key=${name}><h3 class=${`c${colourOf(name)}`}>${name}</h3><${Window} reading=${reading} only=${name} index=${index} label=${name} one line=${tailLine([name], query)} onPick=${pick} /></div>`)
    : html`<${Window} key="all" reading=${reading} label=${say.log} one=${!named} line=${tailLine(watchers, query)} onPick=${pick} />`}
      ${finding && html`<${Found} finding=${finding} named=${named} onLine=${toFound} onClose=${pane.unsearch} />`}</div>
    <p class="only-heard" role="status">${spoken}</p>
    <${Chosen} reading=${reading} /><${Held} reading=${reading} />
    ${whole >= 0 && html`<${Whole} reading=${reading} row=${whole} query=${query} setQuery=${setQuery} onClose=${() => setWhole(-1)} />`}
  </section>`;
}

/** The line of circusctl that shows the same. */
function tailLine(watchers, query) {
  const stream = query.streams.every(Boolean) ? [] : ['--stream', query.streams[0] ? 'stdout' : 'stderr'];
  return ['circusctl tail', ...(watchers || []).map(word), '--follow', ...stream].join(' ');
}
