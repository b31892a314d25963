// The window over the lines: some fifty rows that are filled anew once a frame, whatever the rate of lines is.

import { nodes, plain, visible } from './ansi.js';
import { count, clockFine, clock } from './format.js';
import { LEVELS } from './level.js';
import { EVENT, GAP, LINE } from './lines.js';
import { say } from './words.js';

const SPARE = 6; // rows beyond each edge of the window
const LONGEST = 4096; // characters of a line that are drawn; the rest is for the panel that shows one line whole
const LEVEL_NAMES = ['', '', '', ' lv-wrn', ' lv-err'];
const EVENT_SHAPES = { 0: '#s-start', 2: '#s-run', 3: '#s-wait', 4: '#s-fail' };
const EVENT_TONES = { 0: 'is-start', 2: 'is-run', 3: 'is-wait', 4: 'is-fail' };
const SVG = 'http://www.w3.org/2000/svg';

function make(tag, name) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  return element;
}

/** One row of the window, filled with whatever line is at its place. */
class Row {
  constructor() {
    this.element = make('div', 'ln');
    this.time = make('time');
    this.source = make('span', 'src');
    this.wid = make('span', 'w');
    this.level = make('span', 'lv');
    this.text = make('span', 'tx');
    this.source.append(this.wid);
    this.row = -1;
    this.kind = -1;
    this.element.circusRow = this;
  }

  fill(lines, row) {
    if (this.row === row) return;
    this.row = row;
    const kind = lines.kind(row);
    if (kind !== this.kind) this.reshape(kind);
    const wid = lines.wid(row);
    if (kind === LINE) {
      const level = lines.level(row);
      this.element.className = `ln c${((wid - 1) % 8 + 8) % 8 + 1}${LEVEL_NAMES[level]}${lines.stream(row) ? ' err-stream' : ''}`;
      this.time.textContent = clockFine(lines.time(row));
      this.wid.textContent = wid;
      this.source.title = lines.stream(row) ? 'stderr' : '';
      this.level.textContent = LEVELS[level].word;
      const text = lines.text(row);
      const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text;
      const style = lines.style(row);
      if (style === plain && cut.indexOf('\x1b') < 0) this.text.textContent = visible(cut);
      else this.text.replaceChildren(...nodes(cut, style));
    } else if (kind === GAP) {
      const missing = lines.number(row);
      const bold = make('b');
      bold.textContent = say.skipped(count(missing), missing !== 1);
      const why = make('span');
      why.textContent = `${clock(lines.time(row))}: ${lines.text(row)}`;
      this.element.replaceChildren(bold, why);
    } else {
      const level = lines.level(row);
      const shape = document.createElementNS(SVG, 'svg');
      shape.setAttribute('class', `shape ${EVENT_TONES[level] || 'is-rest'}`);
      shape.setAttribute('aria-hidden', 'true');
      const use = document.createElementNS(SVG, 'use');
      use.setAttribute('href', EVENT_SHAPES[level] || '#s-rest');
      shape.append(use);
      const words = make('span');
      words.textContent = `${clock(lines.time(row))} ${lines.text(row)}`;
      this.element.replaceChildren(shape, words);
    }
  }

  reshape(kind) {
    this.kind = kind;
    if (kind === LINE) this.element.replaceChildren(this.time, this.source, this.level, this.text);
    else this.element.className = kind === GAP ? 'gap' : kind === EVENT ? 'cut' : 'ln';
  }
}

/**
 * Draws `lines` into a scrolling element, which must be positioned. Calls `changed()` after a frame in which something
 * that stands around the window may be different: following or not, how many are new.
 */
export class LogView {
  constructor(scroller, lines, changed) {
    this.scroller = scroller;
    this.lines = lines;
    this.changed = changed;
    this.following = true;
    this.heldAt = 0; // time at which following was left
    this.heldRow = 0; // number of the next line at that moment
    this.canvas = make('div', 'canvas'); // as high as all rows
    this.body = make('div', 'rows'); // those that are drawn
    this.canvas.append(this.body);
    this.scroller.append(this.canvas);
    this.rows = new Map();
    this.free = [];
    this.gone = lines.gone;
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
    this.canvas.remove();
  }

  measure() {
    this.window = this.scroller.clientHeight;
    const line = parseFloat(getComputedStyle(this.scroller).getPropertyValue('--line')) || 20;
    if (line !== this.line) {
      this.line = line;
      this.height = -1;
    }
  }

  /** The rows are other ones now (a filter, a new watcher): everything is drawn again. */
  reset() {
    for (const row of this.rows.values()) this.release(row);
    this.rows.clear();
    this.gone = this.lines.gone;
    this.height = -1;
    this.schedule();
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  follow() {
    this.following = true;
    this.schedule();
    this.changed();
  }

  hold(now) {
    if (!this.following) return;
    this.following = false;
    this.heldAt = now;
    this.heldRow = this.lines.next;
    this.changed();
  }

  get fresh() { return this.following ? 0 : this.lines.next - Math.max(this.heldRow, this.lines.first); }

  scrolled() {
    const top = this.scroller.scrollTop;
    // Also a window that grows moves the place; whoever is at the end still is.
    const atEnd = top + this.scroller.clientHeight >= this.height - 2;
    if (this.following && top < this.setTop - 2 && !atEnd) this.hold(Date.now() / 1000);
    else if (!this.following && top > this.setTop && atEnd) this.follow();
    this.setTop = top;
    this.schedule();
  }

  draw() {
    const shown = this.lines.shown;
    const height = shown * this.line;
    if (height !== this.height) {
      this.height = height;
      this.canvas.style.height = `${height}px`;
    }
    const gone = this.lines.gone;
    if (gone !== this.gone) {
      // What a person reads stays where it is while older lines leave at the front.
      if (!this.following) {
        this.setTop = Math.max(0, this.scroller.scrollTop - (gone - this.gone) * this.line);
        this.scroller.scrollTop = this.setTop;
      }
      this.gone = gone;
    }
    if (this.following) {
      const bottom = Math.max(0, height - this.window);
      if (this.scroller.scrollTop !== bottom) this.scroller.scrollTop = bottom;
      this.setTop = this.scroller.scrollTop;
    }
    const top = this.scroller.scrollTop;
    const from = Math.max(0, Math.floor(top / this.line) - SPARE);
    const to = Math.min(shown, Math.ceil((top + this.window) / this.line) + SPARE);
    // By a number that a line keeps while others leave: its element keeps its content. What has left the window is taken
    // out of the page first, so that the others need not move, and the order in the page is the order on the screen.
    for (const [number, row] of this.rows) {
      const place = number - gone;
      if (place < from || place >= to) { this.rows.delete(number); this.release(row); }
    }
    let next = this.body.firstChild;
    for (let place = from; place < to; place += 1) {
      const number = gone + place;
      let row = this.rows.get(number);
      if (!row) {
        row = this.free.pop() || new Row();
        this.rows.set(number, row);
      }
      row.fill(this.lines, this.lines.at(place));
      if (row.element === next) next = next.nextSibling;
      else this.body.insertBefore(row.element, next);
    }
    const offset = from * this.line;
    if (offset !== this.offset) {
      this.offset = offset;
      this.body.style.transform = `translateY(${offset}px)`;
    }
    this.changed();
  }

  release(row) {
    row.row = -1;
    row.element.remove();
    this.free.push(row);
  }

  /** The line that an element of the window shows, or -1. */
  rowOf(element) {
    const found = element.closest('.rows > *');
    return found && found.circusRow && found.circusRow.kind === LINE ? found.circusRow.row : -1;
  }

  /** To the first line of that time; what was written later stands below it. */
  toTime(time) {
    let low = 0;
    let high = this.lines.shown;
    while (low < high) { const middle = (low + high) >> 1; if (this.lines.time(this.lines.at(middle)) < time) low = middle + 1; else high = middle; }
    this.hold(Date.now() / 1000);
    this.scroller.scrollTop = Math.max(0, (low - 1) * this.line);
    this.schedule();
  }

  /** To the oldest line. */
  home() {
    this.hold(Date.now() / 1000);
    this.scroller.scrollTop = 0;
  }
}
