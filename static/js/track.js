// What one watcher took: the hour that the daemon has kept, and each second since somebody looks.

import { store, watcherNamed } from './store.js';

export const HOUR = 3600;
const KNOWN = 8; // watchers whose seconds are kept after one has gone on to another page

/** What happens to a watcher and is worth a mark, with its shape and its place among the words. */
const MARKED = {
  'process.started': 'start', 'process.exited': 'wait', 'process.failed': 'fail', 'process.refused': 'fail', 'process.abandoned': 'fail', 'process.unready': 'fail', 'process.unhealthy': 'fail', 'process.replaced': 'wait',
  'watcher.started': 'run', 'watcher.stopped': 'rest', 'watcher.waiting': 'rest', 'watcher.reloaded': 'run', 'watcher.reload_failed': 'fail', 'watcher.files_changed': 'lost', 'watcher.watch_failed': 'fail', 'watcher.updated': 'lost', 'watcher.scaled': 'lost', 'watcher.failed': 'fail',
};

/** What an event says where its watcher is known: "1 started" says less there than in the list of all events. */
export function sentence(event) {
  return event.wid && event.text.startsWith(`${event.wid} `) ? `process ${event.text}` : event.text;
}

/**
 * The points of one watcher, oldest first: {t, step, cpu, rss, count, restarts, wids}. `step` is the time that a point is
 * the mean of; `wids` has [cpu, rss] of each process where it was seen live, and is null where only the sum is known.
 */
class Track {
  constructor(name) {
    this.name = name;
    this.points = [];
    this.events = new Map(); // by daemon and number
    this.starts = null; // by process, as it was at the last point
    this.restarts = 0; // counted up, as the daemon does
    this.eventsTo = 0; // number of the last event that was looked at
    this.epoch = '';
    this.version = 0; // grows with everything that is taken over
  }

  /** Takes over the reply of `history`; what was seen live counts more. */
  seed(reply) {
    const told = reply.watchers?.[this.name];
    if (!told || !reply.times) return;
    const period = reply.period || 60;
    const live = this.points.filter((point) => point.wids);
    const coarse = reply.times.map((t, i) => ({
      t, step: Math.min(period, i ? t - reply.times[i - 1] : period),
      cpu: told.cpu[i], rss: told.rss[i], count: told.processes[i], restarts: told.restarts[i], wids: null,
    }));
    let at = 0;
    const needed = coarse.filter((point) => {
      while (at < live.length && live[at].t <= point.t - point.step) at += 1;
      return at >= live.length || live[at].t > point.t;
    });
    this.points = [...needed, ...live].sort((a, b) => a.t - b.t);
    // What is counted up is counted as the daemon does, also what was counted here before it was asked.
    const missing = (told.restarts.at(-1) ?? this.restarts) - this.restarts;
    this.restarts += missing;
    for (const point of live) point.restarts += missing;
    for (const event of reply.events || []) this.takeEvent(event);
    this.version += 1;
  }

  /** One more second, as it was told to the page. */
  push(t, told, watcher) {
    const last = this.points.at(-1);
    if (last && t <= last.t) return;
    const processes = told?.processes || {};
    const number = Object.keys(processes).length;
    this.restarts += this.started(watcher);
    this.points.push({ t, step: 1, cpu: number ? told.cpu : null, rss: number ? told.rss : null, count: number, restarts: this.restarts, wids: processes });
    if (this.points[0].t < t - HOUR - 120) this.points.splice(0, this.points.findIndex((point) => point.t >= t - HOUR));
    this.version += 1;
  }

  /** How often a process was started again since the last time that this was asked. */
  started(watcher) {
    const before = this.starts;
    this.starts = new Map(watcher.processes.map((process) => [process.wid, process.starts]));
    if (!before) return 0;
    let more = 0;
    for (const [wid, starts] of this.starts) more += Math.max(0, starts - (before.get(wid) ?? 1));
    return more;
  }

  takeEvent(event) {
    const kind = MARKED[event.event];
    if (!kind || event.number === undefined) return;
    this.events.set(`${event.time}/${event.number}`, { t: event.time, kind, text: sentence(event) });
    if (this.events.size > 1000) this.events.delete(this.events.keys().next().value);
  }

  /** The events between two times, oldest first. */
  within(from, to) {
    return [...this.events.values()].filter((event) => event.t >= from && event.t <= to).sort((a, b) => a.t - b.t);
  }

  /** The points between two times, with one on either side of them. */
  slice(from, to) {
    const find = (t) => {
      let low = 0;
      let high = this.points.length;
      while (low < high) { const middle = (low + high) >> 1; if (this.points[middle].t < t) low = middle + 1; else high = middle; }
      return low;
    };
    return this.points.slice(Math.max(0, find(from) - 1), find(to) + 1);
  }
}

/** Whether nothing is known between two points that follow each other. */
export function isGap(before, point) {
  return point.t - before.t > 1.8 * Math.max(before.step, point.step) + 1.5;
}

const tracks = new Map();
let heard = 0;

/** What is known of a watcher; from the first time on, its seconds are kept. */
export function trackOf(name) {
  const found = tracks.get(name) || new Track(name);
  tracks.delete(name);
  tracks.set(name, found);
  if (tracks.size > KNOWN) tracks.delete(tracks.keys().next().value);
  return found;
}

/** Takes what the page was told last; called with each change of the store. */
export function listen() {
  const { time } = store.daemonLoad;
  const fresh = time && time !== heard;
  heard = time || heard;
  for (const track of tracks.values()) {
    const watcher = watcherNamed(track.name);
    if (!watcher) continue;
    for (const event of store.events) {
      if (event.number <= (track.eventsTo) && track.epoch === store.daemon?.epoch) break;
      if (event.watcher === watcher.name) track.takeEvent(event);
    }
    track.eventsTo = store.events[0]?.number || 0;
    track.epoch = store.daemon?.epoch;
    if (!fresh) continue;
    const series = store.load.get(watcher.name);
    track.push(time, series && { cpu: series.cpu.last, rss: series.rss.last, processes: series.processes }, watcher);
  }
}

/** The figures of some points: lowest, highest, mean and the last one; null where nothing ran. */
export function summary(points, key) {
  let sum = 0;
  let weight = 0;
  let least = Infinity;
  let most = -Infinity;
  for (const point of points) {
    const value = point[key];
    if (value === null || value === undefined || Number.isNaN(value)) continue;
    sum += value * point.step;
    weight += point.step;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return weight ? { least, most, mean: sum / weight, last: points.at(-1)[key] ?? null } : null;
}

/** How often a process was started again in these points. */
export function restartsIn(points) {
  let more = 0;
  for (let i = 1; i < points.length; i += 1) {
    const step = (points[i].restarts ?? 0) - (points[i - 1].restarts ?? points[i].restarts ?? 0);
    if (step > 0) more += step;
  }
  return more;
}
