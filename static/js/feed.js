// What comes into a log: the lines of some watchers as they are written, those of before, and those that were passed over.

import { call } from './commands.js';
import { GAP, LINE, Lines, STREAMS } from './lines.js';
import { follow } from './live.js';
import { store, subscribe } from './store.js';
import { read, say } from './words.js';

export const HISTORY_LINES = 5000;
const PAGE_LINES = 5000;
const FETCH_ROUNDS = 8; // requests for one gap, at most
const MOST_LINES = 20000; // in one reply
const EVENT_LEVELS = { 'process.exited': 3, 'process.backoff': 3, 'process.failed': 4, 'process.abandoned': 4, 'process.refused': 4, 'watcher.failed': 4, 'watcher.reload_failed': 4, 'watcher.files_changed': 2, 'watcher.watch_failed': 4, 'process.unready': 4, 'process.unhealthy': 4, 'process.replaced': 3, 'process.started': 2, 'watcher.started': 2, 'watcher.stopped': 1 };
const EVENT_WAIT = 400; // milliseconds
const HISTORY_WAIT = 2000; // milliseconds for the lines of before, which events are not to overtake
const BEFORE = 60; // seconds before the first line from which events are shown
const LATE = 1; // seconds by which the first lines of a source are older than what is there, and are put among it

/** The word that stands for a line for good: the daemon reads it too. */
export function lineId(lines, row) {
  const source = lines.source(row);
  return `${store.daemon?.epoch}/${lines.number(row)}/${source.wid}/${STREAMS[source.stream]}/${source.watcher}`;
}

/** What such a word says, or null. */
export function readLineId(text) {
  const found = /^([^/]+)\/(\d+)\/(\d+)\/(stdout|stderr)\/(.+)$/s.exec(text || '');
  return found && { epoch: found[1], number: Number(found[2]), wid: Number(found[3]), stream: STREAMS.indexOf(found[4]), watcher: found[5], text };
}

/** The lines of watchers, kept up to date for as long as somebody looks; or, on request, those of some moment before. */
export class Feed {
  /** `watchers` are names; null means all. */
  constructor(watchers, lines = new Lines()) {
    this.lines = lines;
    this.watchers = watchers;
    this.key = crypto.randomUUID?.() || String(Math.random()); // what has read a page can read the next one
    this.fresh = () => {}; // something has come
    this.moved = () => {}; // rows have other numbers: see `Lines.insert`
    this.error = null;
    this.past = null; // {newer}: the cursor of what follows, while the lines are of an earlier time and nothing is followed
    this.stream = null;
    this.closed = false;
    this.busy = ''; // what is being asked for: older, newer, gap, place
    this.ended = null; // what waits for its end
    this.begin();
    this.unsubscribe = subscribe(() => this.takeEvents());
  }

  /** Nothing is known yet, and the watchers are followed. */
  begin() {
    this.lines.clear();
    this.moved({ at: 0, by: 0 });
    this.numbers = new Map(); // by source: the number of its last line
    this.epoch = store.daemon?.epoch;
    this.placed = new Set(); // numbers of the events that are among the lines, or too old for them
    this.waiting = []; // events that are to be placed by their time, oldest first
    this.runs = []; // what has come and is not placed
    this.oldest = undefined; // the cursor of what is older than all that is here; null when there is nothing
    this.past = null;
    this.error = null;
    clearTimeout(this.timer);
    this.timer = 0;
    this.opening = false; // whether nothing has come since then at all
    this.joining = new Set(); // sources of which nothing has come since the stream was opened anew
    this.follow();
  }

  follow() {
    this.stream?.close();
    if (this.closed) return; // while older or newer lines were on their way
    this.stream = follow(this.watchers, HISTORY_LINES, {
      take: (data) => this.take(data),
      ended: (error) => { this.error = error; this.fresh(); },
      opened: () => {
        this.joining = new Set(this.numbers.keys());
        this.opening = true;
        // Now, and not with the next frame: the lines that they stand among are on their way.
        this.takeEvents();
      },
    });
    this.takeEvents();
  }

  close() {
    this.closed = true;
    this.stream?.close();
    clearTimeout(this.timer);
    this.unsubscribe();
    this.fresh = this.moved = () => {};
  }

  /** Other watchers are followed from now on; the lines that are there stay. */
  choose(watchers) {
    if (String(watchers) === String(this.watchers)) return;
    this.watchers = watchers;
    this.oldest = undefined;
    if (!this.past) this.stream.change(watchers);
  }

  // --- what is written now ------------------------------------------------------------------------------------------

  take(data) {
    this.runs.push(data);
    // What comes in one batch is put in order as a whole.
    if (this.runs.length === 1) queueMicrotask(() => this.placeRuns());
  }

  placeRuns() {
    const { runs } = this;
    this.runs = [];
    if (store.daemon && store.daemon.epoch !== this.epoch) {
      // Another circusd counts its lines anew; what is older than its first one is known by the files alone.
      if (this.epoch !== undefined) { this.numbers.clear(); this.placed.clear(); this.oldest = null; }
      this.epoch = store.daemon.epoch;
    }
    this.error = null;
    this.opening = false;
    for (const run of runs) {
      run.from = this.lines.from(run.watcher, run.wid, run.stream === 'stderr' ? 1 : 0);
      run.told = run.skipped || 0;
    }
    const late = [];
    if (runs.every((run) => run.from === runs[0].from)) {
      for (const run of runs) for (const line of run.lines) this.one(run, line, late);
    } else {
      const every = runs.flatMap((run) => run.lines.map((line) => ({ run, line })));
      every.sort((a, b) => a.line[1] - b.line[1]);
      for (const { run, line } of every) this.one(run, line, late);
    }
    for (const run of runs) {
      if (run.told && !run.lines.length) this.lines.gap(run.from, store.daemonLoad.time || Date.now() / 1000 + store.skew, 0, run.told, say.skippedWhy);
    }
    if (late.length) this.insert(late.sort((a, b) => a[3] - b[3]));
    this.fresh();
  }

  one(run, [number, time, text], late) {
    const { lines } = this;
    const { from } = run;
    const last = this.numbers.get(from);
    if (last !== undefined && number <= last) return; // came with the history, and again
    this.numbers.set(from, number);
    if (last === undefined && !run.told && lines.count && time < lines.time(lines.next - 1) - LATE) {
      run.late = true;
    }
    if (run.late && time < lines.time(lines.next - 1)) { late.push([from, run.pid || 0, number, time, text]); return; }
    const missing = last === undefined ? run.told : Math.max(number - last - 1, 0);
    run.told = 0;
    this.place(time, run.pid);
    if (missing) lines.gap(from, time, number - missing, missing, this.joining.has(from) ? say.missedWhy : say.skippedWhy);
    this.joining.delete(from);
    lines.line(from, run.pid || 0, number, time, text);
  }

  insert(records, where) {
    const moved = this.lines.insert(records, where);
    this.moved(moved);
    this.fresh();
    return moved;
  }

  // --- what happened meanwhile --------------------------------------------------------------------------------------

  takeEvents() {
    if (this.past) return;
    const low = this.watchers && new Set(this.watchers.map((name) => name.toLowerCase()));
    let came = false;
    for (const event of store.events) { // newest first
      if (this.placed.has(event.number) || !event.watcher || (low && !low.has(event.watcher.toLowerCase()))) continue;
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
    if (!this.waiting.length) return;
    const { lines } = this;
    const last = lines.count ? lines.time(lines.next - 1) : time === Infinity ? -Infinity : time - BEFORE;
    while (this.waiting.length && this.waiting[0].time <= time) {
      if (pid && this.waiting[0].event === 'process.exited' && this.waiting[0].pid === pid) break;
      const event = this.waiting.shift();
      // The end itself stands there already.
      if (event.event === 'process.crashed') continue;
      // "1 started" says less here than in the list of events.
      const text = event.wid && event.text.startsWith(`${event.wid} `) ? `process ${event.text}` : event.text;
      if (event.time >= last - 1) lines.event(event.watcher, event.wid || 0, event.time, text, EVENT_LEVELS[event.event] ?? 1);
    }
  }

  // --- what was written before --------------------------------------------------------------------------------------

  /** A page of the history, as the daemon replies. */
  ask(properties) {
    return call('output', { ...(this.watchers && { names: this.watchers, match: 'simple' }), lines: PAGE_LINES, files: true, key: this.key, ...properties });
  }

  /**
   * Does it, where nothing else of the kind goes on; what goes wrong is told. Returns what it gave, or undefined, as to who has
   * left.
   */
  during(what, work) {
    if (this.busy || this.closed) return undefined;
    this.busy = what;
    this.fresh();
    this.ended = this.carryOut(work);
    return this.ended;
  }

  async carryOut(work) {
    try {
      const found = await work();
      return this.closed ? undefined : found;
    } catch (error) {
      this.error = { text: error.message };
      return undefined;
    } finally {
      this.busy = '';
      this.fresh();
    }
  }

  /** Lines of a reply as records; `known` tells which are there already. */
  records(told, known = () => false) {
    const records = [];
    for (const line of told) {
      const from = this.lines.from(line.watcher, line.wid || 0, line.stream === 'stderr' ? 1 : 0);
      if (!known(from, line)) records.push([from, line.pid || 0, line.number || 0, line.time ?? records[records.length - 1]?.[3] ?? this.lines.time(this.lines.first), line.text]);
    }
    return records;
  }

  get hasOlder() { return this.oldest !== null && this.lines.count > 0 && this.lines.count < this.lines.limit && this.watchers?.length !== 0; }

  /** The page of lines before the oldest one. */
  older() {
    if (!this.hasOlder || this.busy || this.error) return undefined;
    return this.during('older', async () => {
      const { lines } = this;
      const asked = this.oldest ? { cursor: this.oldest } : { before: lineId(lines, this.firstLine()) };
      const reply = await this.ask(asked);
      if (this.lines.count === 0) return;
      const lowest = new Map();
      for (let row = lines.first; row < lines.next; row += 1) {
        if (lines.kind(row) === LINE) { const from = lines.froms[row % lines.size]; if (!lowest.has(from)) lowest.set(from, lines.number(row)); }
      }
      this.oldest = reply.older ?? null;
      const records = this.records(reply.lines, (from, line) => line.number && lowest.has(from) && line.number >= lowest.get(from));
      if (records.length) this.insert(records, { front: true });
    });
  }

  firstLine() {
    const { lines } = this;
    for (let row = lines.first; row < lines.next; row += 1) if (lines.kind(row) === LINE && lines.number(row)) return row;
    return lines.first;
  }

  /** In the past: the lines after the last one; where there are none any more, the watchers are followed again. */
  newer() {
    if (!this.past || this.busy) return undefined;
    return this.during('newer', async () => {
      const reply = await this.ask({ cursor: this.past.newer });
      for (const [from, pid, number, time, text] of this.records(reply.lines)) {
        this.lines.line(from, pid, number, time, text);
        if (number) this.numbers.set(from, number);
      }
      if (reply.newer) this.past.newer = reply.newer;
      if (reply.lines.length < PAGE_LINES / 2 || !reply.newer) {
        this.past = null;
        this.follow();
      }
    });
  }

  /** The lines around a moment (epoch seconds), in place of those that are here. Tells whether there are any. */
  at(time) {
    return this.toPast(() => this.ask({ around: String(time) }));
  }

  /** The lines around that one, as `readLineId` gives it, and itself; tells whether there are any. */
  around(line) {
    return this.toPast(async () => {
      const before = await this.ask({ before: line.text, lines: PAGE_LINES / 2 });
      const after = await this.ask({ cursor: before.newer, lines: PAGE_LINES / 2 });
      return { lines: [...before.lines, ...after.lines], older: before.older, newer: after.newer };
    });
  }

  async toPast(request) {
    // Older and newer lines are asked for by themselves; who wants to go somewhere is not refused because of them.
    while (this.busy) await this.ended;
    return this.during('place', async () => {
      const reply = await request();
      if (!reply.lines.length) return false;
      this.stream?.close();
      this.stream = null;
      this.lines.clear();
      this.numbers.clear();
      this.waiting = [];
      this.past = { newer: reply.newer };
      this.oldest = reply.older ?? null;
      const records = this.records(reply.lines);
      records.sort((a, b) => a[3] - b[3]);
      for (const [from, pid, number, time, text] of records) {
        if (number && this.numbers.get(from) >= number) continue;
        this.lines.line(from, pid, number, time, text);
        if (number) this.numbers.set(from, number);
      }
      this.moved({ at: 0, by: 0 });
      return true;
    });
  }

  /** The lines that a gap stands for, as far as the daemon still has them. */
  fetch(row) {
    const { lines } = this;
    if (lines.kind(row) !== GAP || !lines.number(row)) return undefined;
    const { watcher, wid, stream } = lines.source(row);
    const number = lines.number(row);
    const end = number + lines.missing(row);
    const version = lines.version;
    return this.during('gap', async () => {
      const found = new Map();
      let asked = { before: `${this.epoch}/${end}/${wid}/${STREAMS[stream]}/${watcher}` };
      for (let round = 0; round < FETCH_ROUNDS; round += 1) {
        const reply = await call('output', { names: [watcher], match: 'simple', stream: STREAMS[stream], lines: Math.min(MOST_LINES, end - number + 500), files: true, ...asked });
        const mine = reply.lines.filter((line) => line.wid === wid && line.number < end);
        for (const line of mine) if (line.number >= number) found.set(line.number, line);
        if (!reply.lines.length || !reply.older || mine.some((line) => line.number <= number)) break;
        asked = { cursor: reply.older };
      }
      if (lines.version !== version || row < lines.first) return;
      this.fill(row, [...found.values()].sort((a, b) => a.number - b.number), number, end);
    });
  }

  /** Puts what was found in the place of a gap; what is still missing has gaps of its own. */
  fill(row, found, number, end) {
    const { lines } = this;
    const from = lines.froms[row % lines.size];
    const records = [];
    let next = number;
    const gap = (until, time) => { if (until > next) records.push([from, until - next, 0, time, read.gone, GAP]); };
    let last = 0;
    for (const line of found) {
      // The times of what comes from files are about right; the order is.
      last = Math.min(Math.max(last, line.time ?? 0), lines.time(row));
      gap(line.number, last);
      records.push([from, line.pid || 0, line.number, last, line.text]);
      next = line.number + 1;
    }
    gap(end, lines.time(row));
    this.insert(records, { instead: row });
  }
}
