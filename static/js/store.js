// What the page knows: the daemon's state as it was told, the load of the last minutes, and whether it is still true.

import { HISTORY, Series } from './series.js';

const EVENTS = 300;
const STALE = 3500; // milliseconds without a word after which what is shown may be old

export const store = {
  daemon: null,
  lead: null,
  watchers: new Map(),
  sockets: [],
  events: [], // newest first
  load: new Map(), // by watcher: {cpu, rss, lines, processes}
  total: { cpu: new Series(), rss: new Series() },
  daemonLoad: {},
  hostLoad: null, // of the machine, for who sees all watchers
  link: { state: 'connecting', since: Date.now(), transport: '', roundTrip: null }, // connecting, live, console, daemon, over
  heard: 0, // when the daemon was heard last, by this machine's clock
  skew: 0, // what has to be added to this machine's clock to get the daemon's
  busy: new Map(), // by watcher: the commands that this page waits for
  notes: new Map(), // by watcher: an error that stands until it is dismissed
  updated: false,
};

const listeners = new Set();
let pending = 0;

/** Calls `listener` once after each group of changes; returns what ends it. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Tells the page that something has changed: drawn with the next frame, or, where no frames come, a little later. */
export function touch() {
  if (pending) return;
  pending = 1;
  const tell = () => {
    pending = 0;
    for (const listener of listeners) listener();
  };
  if (document.hidden) setTimeout(tell, 250);
  else requestAnimationFrame(tell);
}

/** The time by the daemon's clock, in epoch seconds. */
export function now() {
  return Date.now() / 1000 + store.skew;
}

/** Whether what is shown is true at this moment. */
export function isLive() {
  return store.link.state === 'live' && Date.now() - store.heard < STALE;
}

/** How old what is shown is, in seconds. */
export function age() {
  return store.heard ? (Date.now() - store.heard) / 1000 : 0;
}

export function setLink(state) {
  if (store.link.state === state) return;
  store.link = { ...store.link, state, since: Date.now() };
  touch();
}

function heard(time) {
  store.heard = Date.now();
  if (typeof time === 'number') store.skew = time - Date.now() / 1000;
}

export const order = new Intl.Collator('en', { numeric: true });

let names = []; // in their order; empty where it has to be made anew

/** The watchers by name. */
export function byName() {
  if (names.length !== store.watchers.size) names = [...store.watchers.keys()].sort(order.compare);
  return names.map((name) => store.watchers.get(name));
}

function setWatcher(watcher) {
  if (!store.watchers.has(watcher.name)) names = [];
  store.watchers.set(watcher.name, watcher);
  if (!store.load.has(watcher.name)) store.load.set(watcher.name, { cpu: new Series(), rss: new Series(), lines: 0, processes: {} });
}

/** Takes over one message of the base stream. */
export function apply(topic, data) {
  if (topic === 'state.') applyState(data);
  else if (topic === 'load.') applyLoad(data);
  else if (topic === 'event.') applyEvent(data);
  touch();
}

function applyState(data) {
  heard(data.time);
  const snapshot = data.snapshot;
  if (snapshot) {
    heard(snapshot.daemon && snapshot.daemon.time);
    // A daemon that was started anew begins its history anew too.
    if (store.daemon && snapshot.daemon && store.daemon.epoch !== snapshot.daemon.epoch) store.events = [];
    store.daemon = snapshot.daemon;
    store.lead = snapshot.lead || null;
    store.sockets = snapshot.sockets || [];
    store.watchers = new Map();
    names = [];
    for (const watcher of snapshot.watchers) setWatcher(watcher);
    for (const name of store.load.keys()) if (!store.watchers.has(name)) store.load.delete(name);
    setLink('live');
    putBefore();
    return;
  }
  if (data.watcher) setWatcher(data.watcher);
  if (data.removed) {
    for (const known of [...store.watchers.keys()]) {
      if (known.toLowerCase() !== String(data.removed).toLowerCase()) continue;
      store.watchers.delete(known);
      names = [];
      store.load.delete(known);
      store.notes.delete(known);
    }
  }
  if (data.lead) store.lead = data.lead;
  if (data.sockets) store.sockets = data.sockets;
  if (data.daemon) store.daemon = { ...store.daemon, ...data.daemon };
}

function applyLoad(data) {
  heard(data.time);
  // Seconds of which nothing was told, as when the page was not connected, are gaps.
  const missed = store.daemonLoad.time ? Math.min(HISTORY, Math.round(data.time - store.daemonLoad.time) - 1) : 0;
  for (let i = 0; i < missed; i += 1) {
    for (const series of [store.total, ...store.load.values()]) { series.cpu.push(null); series.rss.push(null); }
  }
  let cpu = 0;
  let rss = 0;
  for (const [name, series] of store.load) {
    const told = data.watchers && data.watchers[name];
    const runs = told && Object.keys(told.processes || {}).length > 0;
    series.cpu.push(runs ? told.cpu : null);
    series.rss.push(runs ? told.rss : null);
    series.lines = (told && told.lines) || 0;
    series.processes = (told && told.processes) || {};
    if (runs) { cpu += told.cpu || 0; rss += told.rss || 0; }
  }
  store.total.cpu.push(cpu);
  store.total.rss.push(rss);
  store.daemonLoad = { ...data.daemon, time: data.time };
  store.hostLoad = data.host || null;
}

let before = null; // the reply of `history` that is not put in yet

/** The minutes of before the page was opened, from the reply of `history`; put in when the watchers are known. */
export function seedLoad(reply) {
  before = reply;
  putBefore();
}

/** A sample stands for the seconds since the one before it. */
function putBefore() {
  if (!before?.times?.length || !store.watchers.size) return;
  const { times, watchers = {}, period } = before;
  before = null;
  const seen = Math.min(HISTORY, store.total.cpu.next);
  const end = (store.daemonLoad.time || times.at(-1)) - seen;
  const placeOf = (back) => { const at = times.findIndex((time) => time >= end - back); return at < 0 ? times.length - 1 : at; };
  const places = Array.from({ length: HISTORY }, (_, back) => (end - back < times[0] - (period || 1) ? -1 : placeOf(back)));
  const told = Object.values(watchers);
  for (const key of ['cpu', 'rss']) {
    const sums = times.map((_, i) => told.reduce((sum, one) => sum + (one[key][i] ?? 0), 0));
    store.total[key].begin((back) => sums[places[back]]);
    for (const [name, series] of store.load) {
      if (watchers[name]) series[key].begin((back) => watchers[name][key][places[back]]);
    }
  }
  touch();
}

function applyEvent(data) {
  if (data.number === undefined) return; // how many were passed over: the list shows only the last ones anyway
  if (store.events.some((event) => event.number === data.number)) return;
  store.events = [data, ...store.events].slice(0, EVENTS);
}

/** Events of before the page was opened, oldest first. */
export function seedEvents(events) {
  const known = new Set(store.events.map((event) => event.number));
  const fresh = events.filter((event) => !known.has(event.number));
  store.events = [...store.events, ...fresh].sort((a, b) => b.number - a.number).slice(0, EVENTS);
  touch();
}

/** The watcher of that name, in any case of letters. */
export function watcherNamed(name) {
  const exact = store.watchers.get(name);
  if (exact) return exact;
  const low = name.toLowerCase();
  return [...store.watchers.values()].find((watcher) => watcher.name.toLowerCase() === low) || null;
}

// --- what the states mean for a person ----------------------------------------------------------------------------

/** The shape of an inner state. */
export const shapeOf = {
  running: 'run', ready: 'run', starting: 'start', waiting: 'idle', stopping: 'stopping', frozen: 'still',
  unhealthy: 'ill', backoff: 'wait', exited: 'wait', failed: 'fail', stopped: 'rest', completed: 'rest',
};

export function shape(state) {
  return shapeOf[state] || 'lost';
}

/** The shape of one process: one that runs and is not ready is on its way, and one may run and be unhealthy. */
export function shapeOfProcess(process) {
  if (process.state === 'frozen') return 'still';
  if (process.health?.state === 'unhealthy') return 'ill';
  return process.awaits ? 'start' : shape(process.state);
}

const RANK = { fail: 0, ill: 1, wait: 1 };

/** What wants a person comes first, and everything else is equal: rows must not jump while a reload goes on. */
export function rank(watcher) {
  return RANK[shape(watcher.state)] ?? 2;
}

export function needsYou(watcher) {
  return rank(watcher) < 2 || Boolean((watcher.setback && !watcher.job) || watcher.watched?.problem);
}

export function isStopped(watcher) {
  return watcher.status === 'stopped';
}

/** The shapes of a watcher's processes, in their order; wanted ones that were never started count as stopped. */
export function kindsOf(watcher) {
  const kinds = watcher.processes.map(shapeOfProcess);
  while (kinds.length < Math.min(watcher.numprocesses, 1000)) kinds.push('rest');
  return kinds;
}

export function alive(process) {
  return ['running', 'ready', 'frozen', 'starting', 'stopping'].includes(process.state) && process.pid !== null;
}
