// The lines of a log in the page: a ring with an end to its size, and what a filter leaves of it.

import { after, hasEscapes, plain, strip } from './ansi.js';
import { levelOf } from './level.js';

export const LINE = 0;
export const GAP = 1;
export const EVENT = 2;

export const STREAMS = ['stdout', 'stderr'];

const FIRST_SIZE = 4096;

/**
 * Rows have numbers that only grow (`first` … `next` - 1); when it is full, the oldest go. Columns instead of one object
 * per row: 200,000 rows cost some 5 MB beside their text.
 */
export class Lines {
  constructor(limit = 200000, limitChars = 64 << 20) {
    this.limit = limit;
    this.limitChars = limitChars;
    this.clear();
  }

  clear() {
    this.size = FIRST_SIZE;
    this.first = 0;
    this.next = 0;
    this.chars = 0;
    this.texts = new Array(this.size);
    this.times = new Float64Array(this.size);
    this.numbers = new Float64Array(this.size);
    this.pids = new Uint32Array(this.size);
    this.infos = new Uint32Array(this.size);
    this.styles = new Map(); // rows that begin in a colour that an earlier line left on
    this.ends = new Map(); // by source: the colour at its end, and the pid that it belongs to
    this.levels = [0, 0, 0, 0, 0];
    this.filter = null;
    this.hits = [];
    this.hitsGone = 0; // how many of `hits` are dropped at its front, in all
    this.hitsFrom = 0; // where the live part of `hits` begins
  }

  // kind 2 bits, stream 1, level 3, wid 26
  kind(row) { return this.infos[row % this.size] & 3; }
  stream(row) { return (this.infos[row % this.size] >> 2) & 1; }
  level(row) { return (this.infos[row % this.size] >> 3) & 7; }
  wid(row) { return this.infos[row % this.size] >>> 6; }
  text(row) { return this.texts[row % this.size]; }
  time(row) { return this.times[row % this.size]; }
  number(row) { return this.numbers[row % this.size]; }
  pid(row) { return this.pids[row % this.size]; }
  style(row) { return this.styles.get(row) || plain; }

  /** A line of a process. */
  line(wid, stream, pid, number, time, text) {
    const source = wid * 2 + stream;
    const last = this.ends.get(source);
    const begins = last && last.pid === pid ? last.style : plain;
    const bare = hasEscapes(text) ? strip(text) : text;
    const level = levelOf(bare);
    const row = this.push(LINE, wid, stream, level, pid, number, time, text);
    if (begins !== plain) this.styles.set(row, begins);
    const ends = begins === plain && bare === text ? plain : after(text, begins);
    if (!last || last.style !== ends || last.pid !== pid) this.ends.set(source, { style: ends, pid });
    this.levels[level] += 1;
    if (this.filter && this.filter(this, row, bare)) this.hits.push(row);
  }

  /** A place where lines are missing: `count` of them, and why. */
  gap(wid, time, count, why) {
    const row = this.push(GAP, wid, 0, 0, 0, count, time, why);
    this.ends.clear();
    if (this.filter) this.hits.push(row);
  }

  /** Something that happened to a process, between its lines. */
  event(wid, time, text, level) {
    const row = this.push(EVENT, wid, 0, level, 0, 0, time, text);
    if (this.filter) this.hits.push(row);
  }

  push(kind, wid, stream, level, pid, number, time, text) {
    while (this.next - this.first >= this.limit || (this.chars > this.limitChars && this.next - this.first > 1)) this.drop();
    if (this.next - this.first === this.size) this.grow();
    const row = this.next;
    const at = row % this.size;
    this.texts[at] = text;
    this.times[at] = time;
    this.numbers[at] = number;
    this.pids[at] = pid;
    this.infos[at] = kind | (stream << 2) | (level << 3) | (wid << 6);
    this.chars += text.length;
    this.next += 1;
    return row;
  }

  drop() {
    const at = this.first % this.size;
    this.chars -= this.texts[at].length;
    this.texts[at] = '';
    if (this.kind(this.first) === LINE) this.levels[this.level(this.first)] -= 1;
    if (this.styles.size) this.styles.delete(this.first);
    this.first += 1;
    if (this.filter && this.hits[this.hitsFrom] < this.first) {
      this.hitsFrom += 1;
      this.hitsGone += 1;
      // Cutting an array costs its length: do it rarely.
      if (this.hitsFrom > 65536) { this.hits = this.hits.slice(this.hitsFrom); this.hitsFrom = 0; }
    }
  }

  grow() {
    const size = Math.min(this.size * 2, this.limit);
    for (const name of ['texts', 'times', 'numbers', 'pids', 'infos']) {
      const old = this[name];
      const fresh = name === 'texts' ? new Array(size) : new old.constructor(size);
      for (let row = this.first; row < this.next; row += 1) fresh[row % size] = old[row % this.size];
      this[name] = fresh;
    }
    this.size = size;
  }

  /** Shows only rows for which `filter(lines, row, bareText)` holds; null shows all. Gaps and events are always shown. */
  setFilter(filter) {
    this.filter = filter;
    this.hits = [];
    this.hitsFrom = 0;
    this.hitsGone = 0;
    if (!filter) return;
    for (let row = this.first; row < this.next; row += 1) {
      if (this.kind(row) !== LINE || filter(this, row, strip(this.text(row)))) this.hits.push(row);
    }
  }

  /** How many rows there are to see, how many have gone from the front since the beginning, and the row at a place. */
  get shown() { return this.filter ? this.hits.length - this.hitsFrom : this.next - this.first; }
  get gone() { return this.filter ? this.hitsGone : this.first; }
  at(place) { return this.filter ? this.hits[this.hitsFrom + place] : this.first + place; }
  get count() { return this.next - this.first; }
}

/** A test of a bare text from what a person typed: plain text, /regex/, and either with ! before it. Null when empty. */
export function pattern(typed) {
  let wanted = typed.trim();
  const inverse = wanted.startsWith('!') && wanted.length > 1;
  if (inverse) wanted = wanted.slice(1);
  if (!wanted || wanted === '!') return null;
  const regex = /^\/(.+)\/([is]*)$/s.exec(wanted);
  let test;
  if (regex) {
    const compiled = new RegExp(regex[1], regex[2]);
    test = (text) => compiled.test(text);
  } else {
    const low = wanted.toLowerCase();
    test = (text) => text.toLowerCase().includes(low);
  }
  return inverse ? (text) => !test(text) : test;
}
