// The window over the lines: some fifty rows that are filled anew once a frame, whatever the rate of lines is.

import { hasEscapes, nodes, plain, strip, visible } from './ansi.js';
import { count } from './format.js';
import { Heights } from './heights.js';
import { objectOf, shownValue, valueOf } from './json.js';
import { LEVELS } from './level.js';
import { EVENT, GAP, LINE } from './lines.js';
import { read } from './words.js';

const SPARE = 6; // rows beyond each edge of the window
const LONGEST = 4096; // characters of a line that are drawn; the rest is for the panel that shows one line whole
const NEAR = 40; // rows from the oldest one at which older ones are asked for
const PASSES = 3; // how often rows are measured and placed anew within one frame
const AT_ONCE = 100; // milliseconds for what is shown to catch up, where a place in it is wanted now
const PLACES = 2000; // rows whose matches are remembered
const LEVEL_NAMES = ['', '', '', ' lv-wrn', ' lv-err'];
const EVENT_SHAPES = { 0: '#s-start', 2: '#s-run', 3: '#s-wait', 4: '#s-fail' };
const EVENT_TONES = { 0: 'is-start', 2: 'is-run', 3: 'is-wait', 4: 'is-fail' };
const SVG = 'http://www.w3.org/2000/svg';

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

function picture(name, href) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', name);
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', href);
  svg.append(use);
  return svg;
}

/**
 * How lines look: the same for all windows of a page.
 *
 * version   grows when rows that are drawn have to be drawn anew
 * clock     the time of a line as text
 * day, dayWord   the day of a time as a number, and that in words: it stands above the first line of another day
 * colour    1 to 8 for a source
 * named     whether the name of the watcher stands before each line
 * columns   the fields that are shown of lines that are JSON; none shows the lines as they are
 * patterns  [pattern, class] whose matches are marked
 * folded, turned   as in a Sieve
 * at, here, now, chosen   the row of the keyboard, that of the address, that of the match one is at, and [from, to] chosen
 */
export const plainLook = () => ({
  version: 1, clock: String, day: () => 0, dayWord: String, colour: () => 1, named: false, columns: [], patterns: [], folded: false, turned: new Set(), wrap: false,
  at: -1, here: -1, now: -1, chosen: null,
});

/** One row of the window, filled with whatever line is at its place. */
class Row {
  constructor(view) {
    this.view = view;
    this.element = make('div', 'ln');
    this.time = make('time');
    this.source = make('span', 'src');
    this.name = make('span', 'name');
    this.wid = make('span', 'w');
    this.level = make('span', 'lv');
    this.text = make('span', 'tx');
    this.source.append(this.name, this.wid);
    this.row = -1;
    this.kind = -1;
    this.classes = 'ln';
    this.day = ''; // that begins with it
    this.element.circusRow = this;
  }

  fill(row) {
    const { lines, look } = this.view;
    if (this.row === row && this.look === look.version && this.level4 === lines.level(row)) return;
    this.row = row;
    this.look = look.version;
    this.level4 = lines.level(row);
    const kind = lines.kind(row);
    if (kind !== this.kind) this.reshape(kind);
    if (kind === LINE) this.fillLine(lines, row, look);
    else if (kind === GAP) this.fillGap(lines, row, look);
    else this.fillEvent(lines, row, look);
  }

  fillLine(lines, row, look) {
    const source = lines.source(row);
    const level = lines.level(row);
    this.frame = lines.head(row) !== row;
    this.classes = `ln c${look.colour(source)}${LEVEL_NAMES[level]}${source.stream ? ' err-stream' : ''}${this.frame ? ' more' : ''}`;
    this.time.textContent = look.clock(lines.time(row));
    this.wid.textContent = source.wid;
    if (look.named) this.name.textContent = visible(source.watcher);
    this.source.title = source.stream ? 'stderr' : '';
    this.level.textContent = this.frame ? '' : LEVELS[level].word;
    const text = lines.text(row);
    const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text;
    const style = lines.style(row);
    const object = look.columns.length ? objectOf(cut === text && hasEscapes(text) ? strip(text) : text) : null;
    if (object) this.text.replaceChildren(...look.columns.map((name) => make('span', 'col', visible(shownValue(valueOf(object, name) ?? '').slice(0, LONGEST)))));
    else if (!look.patterns.length && style === plain && !hasEscapes(cut)) this.text.textContent = visible(cut);
    else this.text.replaceChildren(...nodes(cut, style, this.view.placesIn(row, cut)));
    if (lines.traces.size && lines.traces.has(row)) this.text.append(this.fold(lines, row, look));
  }

  fold(lines, row, look) {
    const folded = look.folded !== look.turned.has(row);
    const button = make('button', 'fold', read.frames(lines.traces.get(row)));
    button.type = 'button';
    button.dataset.fold = '';
    button.setAttribute('aria-expanded', String(!folded));
    button.prepend(picture('i', folded ? '#i-chev' : '#i-chevd'));
    return button;
  }

  fillGap(lines, row, look) {
    const missing = lines.missing(row);
    const source = lines.source(row);
    const why = make('span', '', `${look.clock(lines.time(row))}${look.named ? `, ${visible(source.watcher)} ${source.wid}` : ''}: ${lines.text(row)}`);
    const parts = [make('b', '', read.skipped(count(missing), missing !== 1)), why];
    if (lines.number(row) > 0) {
      const button = make('button', '', read.fetchThem(missing !== 1));
      button.type = 'button';
      button.dataset.fetch = '';
      parts.push(button);
    }
    this.element.replaceChildren(...parts);
  }

  fillEvent(lines, row, look) {
    const level = lines.level(row);
    const { watcher } = lines.source(row);
    this.element.replaceChildren(
      picture(`shape ${EVENT_TONES[level] || 'is-rest'}`, EVENT_SHAPES[level] || '#s-rest'),
      make('span', '', `${look.clock(lines.time(row))} ${look.named ? `${visible(watcher)}: ` : ''}${lines.text(row)}`),
    );
  }

  reshape(kind) {
    this.kind = kind;
    if (kind === LINE) this.element.replaceChildren(this.time, this.source, this.level, this.text);
    else this.classes = kind === GAP ? 'gap' : 'cut';
  }

  /** Another day begins with it than that of the row before; nothing where none does. */
  begin(day) {
    if (day === this.day) return;
    this.day = day;
    if (day) this.element.dataset.day = day; else delete this.element.dataset.day;
  }

  /** What changes while the line stays. */
  paint(look) {
    const { row } = this;
    let name = this.classes;
    if (this.day) name += ' day';
    if (row === look.at) name += ' at';
    if (row === look.here) name += ' here';
    if (row === look.now) name += ' now';
    if (look.chosen && row >= look.chosen[0] && row <= look.chosen[1]) name += ' chosen';
    if (name !== this.painted) { this.painted = name; this.element.className = name; }
  }
}

/**
 * Draws what `sieve` shows of `lines` into a scrolling element, which must be positioned. Calls `changed()` after a frame in which
 * something that stands around the window may be different, `older()` and `newer()` when the oldest or the newest line comes
 * into sight while it is held, and `scrolledTo(time)` when somebody has scrolled it.
 */
export class LogView {
  constructor(scroller, lines, sieve, look, { changed = () => {}, older = () => {}, newer = () => {}, scrolledTo = () => {} } = {}) {
    Object.assign(this, { scroller, lines, sieve, look, changed, older, newer, scrolledTo });
    this.following = true;
    this.heldAt = 0; // time at which following was left
    this.heldRow = 0; // number of the next line at that moment
    this.heldErrors = 0;
    this.canvas = make('div', 'canvas'); // as high as all rows
    this.body = make('div', 'rows'); // those that are drawn
    this.canvas.append(this.body);
    this.scroller.append(this.canvas);
    this.rows = new Map(); // by row
    this.free = [];
    this.tall = new Heights();
    this.places = new Map(); // by pattern: by row, where it was found
    this.anchor = null; // {row, offset}: what stands at the upper edge while it is held
    this.height = -1;
    this.offset = -1;
    this.setTop = 0; // where the window was set or seen last
    this.frame = 0;
    this.measure();
    this.onScroll = () => this.scrolled();
    this.scroller.addEventListener('scroll', this.onScroll, { passive: true });
    this.watch = new ResizeObserver(() => { this.measure(); this.schedule(); });
    this.watch.observe(this.scroller);
    this.schedule();
  }

  destroy() {
    this.watch.disconnect();
    this.scroller.removeEventListener('scroll', this.onScroll);
    cancelAnimationFrame(this.frame);
    this.frame = -1; // for good: an answer that comes later draws nothing
    this.canvas.remove();
  }

  measure() {
    this.window = this.scroller.clientHeight;
    const style = getComputedStyle(this.scroller);
    const line = parseFloat(style.getPropertyValue('--line')) || 20;
    this.dayHeight = parseFloat(style.getPropertyValue('--day')) || 0;
    const width = this.scroller.clientWidth;
    if (line === this.line && (width === this.width || !this.look.wrap)) { this.width = width; return; }
    this.line = line;
    this.width = width;
    this.tall.clear();
    this.height = -1;
  }

  /** The rows are other ones now (a filter, other heights): everything is placed again, what is at the edge stays there. */
  reset() {
    this.tall.clear();
    this.places.clear();
    this.height = -1;
    this.measure();
    this.schedule();
  }

  /** Rows have other numbers: see `Lines.insert`. */
  moved({ at, by }) {
    if (this.anchor && this.anchor.row < at) this.anchor.row -= by;
    for (const row of this.rows.values()) this.release(row);
    this.rows.clear();
    this.reset();
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  follow() {
    this.following = true;
    this.anchor = null;
    this.schedule();
    this.changed();
  }

  hold() {
    if (!this.following) return;
    this.following = false;
    this.heldAt = Date.now() / 1000;
    this.heldRow = this.lines.next;
    this.heldErrors = this.lines.errors;
    this.setAnchor();
    this.changed();
  }

  get fresh() { return this.following ? 0 : this.lines.next - Math.max(this.heldRow, this.lines.first); }
  get freshErrors() { return this.following ? 0 : this.lines.errors - this.heldErrors; }

  scrolled() {
    const top = this.scroller.scrollTop;
    if (Math.abs(top - this.setTop) < 0.5) return;
    // Also a window that grows moves the place; whoever is at the end still is.
    const atEnd = top + this.scroller.clientHeight >= this.height - 2;
    const up = top < this.setTop - 2;
    const down = top > this.setTop;
    this.setTop = top;
    if (this.following && up && !atEnd) this.hold();
    else if (!this.following && down && atEnd) this.follow();
    if (!this.following) {
      this.setAnchor();
      if (this.anchor) this.scrolledTo(this.lines.time(this.anchor.row));
    }
    this.schedule();
  }

  /** What is at that height, or at the upper edge now, stays at the edge, whatever comes and goes elsewhere. */
  setAnchor(y = this.scroller.scrollTop) {
    const place = this.placeAt(y);
    const row = this.sieve.at(place);
    this.anchor = row === undefined ? null : { row, offset: y - this.top(place) };
  }

  /** Where the row at a place begins. */
  top(place) {
    const row = place < this.sieve.shown ? this.sieve.at(place) : this.lines.next;
    return place * this.line + (this.tall.rows.length && row !== undefined ? this.tall.before(row) : 0);
  }

  placeAt(y) {
    if (!this.tall.rows.length) return Math.max(0, Math.min(this.sieve.shown - 1, Math.floor(y / this.line)));
    let low = 0;
    let high = Math.max(0, this.sieve.shown - 1);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.top(middle) <= y) low = middle; else high = middle - 1;
    }
    return low;
  }

  draw() {
    const { sieve } = this;
    if (sieve.advance()) this.schedule();
    sieve.trim();
    this.tall.drop(this.lines.first);
    for (let pass = 0; pass < PASSES; pass += 1) {
      this.place();
      this.fillRows();
      if (!this.measureRows()) break;
    }
    for (const row of this.rows.values()) row.paint(this.look);
    this.locate();
    if (!this.following && this.anchor) {
      if (sieve.placeOf(this.anchor.row) < NEAR) this.older();
      if (this.setTop + this.window >= this.height - NEAR * this.line) this.newer();
    }
    this.changed();
  }

  /** The canvas is as high as all rows, and the window where it is to be. */
  place() {
    const { sieve } = this;
    const height = sieve.shown * this.line + this.tall.total;
    if (height !== this.height) {
      this.height = height;
      this.canvas.style.height = `${height}px`;
    }
    let top = this.scroller.scrollTop;
    if (this.following) top = Math.max(0, height - this.window);
    else if (this.anchor) top = Math.max(0, this.top(sieve.placeOf(Math.max(this.anchor.row, this.lines.first))) + (this.anchor.row < this.lines.first ? 0 : this.anchor.offset));
    if (Math.abs(this.scroller.scrollTop - top) >= 0.5) this.scroller.scrollTop = top;
    this.setTop = this.scroller.scrollTop;
  }

  fillRows() {
    const { sieve } = this;
    const top = this.setTop;
    const from = Math.max(0, this.placeAt(top) - SPARE);
    const to = Math.min(sieve.shown, this.placeAt(top + this.window) + 1 + SPARE);
    const wanted = [];
    for (let place = from; place < to; place += 1) wanted.push(sieve.at(place));
    const keep = new Set(wanted);
    // What has left the window is taken out of the page first, so that the others need not move, and the order in the
    // page is the order on the screen.
    for (const [number, row] of this.rows) {
      if (!keep.has(number)) { this.rows.delete(number); this.release(row); }
    }
    let next = this.body.firstChild;
    let before = from > 0 ? sieve.at(from - 1) : undefined;
    for (const number of wanted) {
      let row = this.rows.get(number);
      if (!row) {
        row = this.free.pop() || new Row(this);
        this.rows.set(number, row);
      }
      row.fill(number);
      row.begin(this.dayBefore(number, before));
      before = number;
      if (row.element === next) next = next.nextSibling;
      else this.body.insertBefore(row.element, next);
    }
    const offset = this.top(from);
    if (offset !== this.offset) {
      this.offset = offset;
      this.body.style.transform = `translateY(${offset}px)`;
    }
  }

  /** The day that begins with a row, in words, where that before it is of another one. */
  dayBefore(number, before) {
    const { look, lines } = this;
    if (before === undefined || !this.dayHeight) return '';
    const day = look.day(lines.time(number));
    return day !== look.day(lines.time(before)) && !Number.isNaN(day) ? look.dayWord(day) : '';
  }

  /** Whether a row is higher or lower than was known. */
  measureRows() {
    let news = false;
    for (const [number, row] of this.rows) {
      row.paint(this.look);
      const more = (this.look.wrap ? row.element.offsetHeight - this.line : 0) + (row.day ? this.dayHeight : 0);
      if (this.tall.set(number, more)) news = true;
    }
    return news;
  }

  release(row) {
    row.row = -1;
    row.element.remove();
    this.free.push(row);
  }

  /** Where the patterns are found in a line, merged: `[from, to, class]`. What has to be asked for comes with a later frame. */
  placesIn(row, text) {
    const { patterns } = this.look;
    if (!patterns.length) return [];
    const bare = hasEscapes(text) ? strip(text) : text;
    const found = [];
    for (const [pattern, name] of patterns) {
      const places = pattern.places(bare) || this.places.get(pattern)?.get(row) || [];
      for (const place of places) found.push([place[0], place[1], name]);
    }
    found.sort((a, b) => a[0] - b[0]);
    return found.filter((place, at) => at === 0 || place[0] >= found[at - 1][1]);
  }

  /** Asks where the regular expressions are found in the rows that are drawn. */
  locate() {
    for (const [pattern] of this.look.patterns) {
      if (pattern.regex === null || pattern.failed) continue;
      let known = this.places.get(pattern);
      if (!known || known.size > PLACES) { known = new Map(); this.places.set(pattern, known); }
      const rows = [...this.rows.keys()].filter((row) => !known.has(row) && this.lines.kind(row) === LINE);
      if (!rows.length) continue;
      for (const row of rows) known.set(row, []);
      const texts = rows.map((row) => strip(this.lines.text(row).slice(0, LONGEST)));
      pattern.locate(texts).then((found) => {
        found.forEach((places, at) => {
          if (!places.length) return;
          known.set(rows[at], places);
          const drawn = this.rows.get(rows[at]);
          if (drawn) drawn.look = 0;
        });
        this.schedule();
      }, () => this.changed());
    }
  }

  /** The row that an element of the window belongs to, or -1. */
  rowOf(element) {
    const found = element.closest?.('.rows > *');
    return found?.circusRow && this.rows.get(found.circusRow.row) === found.circusRow ? found.circusRow.row : -1;
  }

  /** To the oldest line. */
  home() {
    this.hold();
    if (this.sieve.shown) this.anchor = { row: this.sieve.at(0), offset: 0 };
    this.schedule();
  }

  /** The row is in sight, and where it was if it was so already; the log is held. */
  show(row) {
    this.sieve.advance(AT_ONCE);
    const place = this.sieve.placeOf(row);
    const top = this.top(place);
    const seen = this.scroller.scrollTop;
    const inside = top >= seen && top + this.line <= seen + this.window;
    this.hold();
    // Also where it is in sight already: what was held before the line was known had nothing to hold on to.
    const wanted = inside ? seen : Math.max(0, top - Math.floor(this.window / 3));
    this.setAnchor(wanted);
    this.schedule();
  }

  /** What was written at that time is at the upper edge. */
  showTime(time) {
    this.hold();
    this.sieve.advance(AT_ONCE);
    const row = this.sieve.at(this.sieve.placeOf(this.lines.rowAt(time)));
    if (row !== undefined) this.anchor = { row, offset: 0 };
    this.schedule();
  }

  /** The first and the last row that are in sight. */
  get sight() {
    if (!this.sieve.shown) return null;
    return [this.sieve.at(this.placeAt(this.setTop)), this.sieve.at(this.placeAt(this.setTop + this.window - 1))];
  }
}
