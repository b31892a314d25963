// What is shown of the watchers: filter, order, groups, and which of them are chosen. Kept in the address, and in part remembered.

import { base, may } from './page.js';
import { byName, isStopped, needsYou, order, rank, shape, store, watcherNamed } from './store.js';
import { say, states } from './words.js';

const PLAIN = { filter: '', segment: 'all', sort: 'state', down: false, group: '' };

/** What a person chose on this page; kept while other pages are looked at. */
export const view = { ...PLAIN, at: '', reach: false, first: false };

/** The names of the watchers that are chosen, for what is done to several. */
export const chosen = new Set();

/** The groups that are folded, by kind of group and title. */
export const folded = new Set();

export const SEGMENTS = [
  ['all', say.segments.all, () => true],
  ['needs', say.segments.needs, needsYou],
  ['active', say.segments.active, (watcher) => !isStopped(watcher)],
  ['stopped', say.segments.stopped, isStopped],
];

// --- address and memory -----------------------------------------------------------------------------------------------

const ADDRESS = { filter: 'q', segment: 'show', sort: 'sort', down: 'down', group: 'group' };
const REMEMBERED = ['sort', 'down', 'group'];
const PLACE = 'circus-overview';

const allowed = {
  filter: (text) => text.slice(0, 200), segment: (text) => (SEGMENTS.some(([key]) => key === text) ? text : 'all'),
  sort: (text) => (Object.hasOwn(SORTS, text) ? text : 'state'), down: (text) => text === '1', group: (text) => (Object.hasOwn(GROUPS, text) ? text : ''),
};

function remembered() {
  try { return JSON.parse(localStorage.getItem(PLACE)) || {}; } catch { return {}; }
}

/** The view that an address asks for; one that asks for nothing leaves it as it is. */
export function readAddress(params) {
  if (!Object.values(ADDRESS).some((key) => params.has(key))) return;
  for (const [name, key] of Object.entries(ADDRESS)) view[name] = params.has(key) ? allowed[name](params.get(key)) : PLAIN[name];
}

let timer = 0;

/** The address says what is shown, and the next page begins with the same order. Not at each letter: browsers refuse that. */
export function keepView() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const query = new URLSearchParams();
    for (const [name, key] of Object.entries(ADDRESS)) if (view[name] !== PLAIN[name]) query.set(key, view[name] === true ? '1' : view[name]);
    const path = `${base}/${query.size ? `?${query}` : ''}`;
    if (location.pathname === `${base}/` && location.pathname + location.search !== path) history.replaceState(history.state, '', path);
    try { localStorage.setItem(PLACE, JSON.stringify(Object.fromEntries(REMEMBERED.map((name) => [name, view[name]])))); } catch { /* a browser that keeps nothing */ }
  }, 250);
}

// --- names and patterns -----------------------------------------------------------------------------------------------

/** What a glob stands for, or null where it is none. */
export function globbed(text) {
  const escaped = text.replace(/[.+^${}()|\\]/g, '\\$&').replaceAll('[!', '[^').replaceAll('*', '.*').replaceAll('?', '.');
  try { return new RegExp(`^${escaped}$`, 'is'); } catch { return null; }
}

const isTag = (text) => text.startsWith('@');
const isGlob = (text) => /[*?[]/.test(text);
const tagged = (list, tag) => list.filter((watcher) => (watcher.tags || []).some((one) => one.toLowerCase() === tag.toLowerCase()));

/** The watchers that a name means, read as its `match` says: as circusd reads it. */
export function meant(text, match, all) {
  if (match === 'list') {
    const names = new Set(text.split(/(?<!\\),/).map((name) => name.replaceAll('\\,', ',').toLowerCase()));
    return all.filter((watcher) => names.has(watcher.name.toLowerCase()));
  }
  if (match === 'regex') {
    try { const pattern = new RegExp(`^(?:${text})`, 'i'); return all.filter((watcher) => pattern.test(watcher.name)); } catch { return []; }
  }
  const exact = watcherNamed(text);
  if (exact) return [exact];
  if (isTag(text)) return tagged(all, text.slice(1));
  const pattern = match === 'simple' ? null : globbed(text);
  return pattern ? all.filter((watcher) => pattern.test(watcher.name)) : [];
}

/** What the names have in front, up to a mark between words. */
function stem(watchers) {
  let front = watchers[0].name;
  for (const { name } of watchers) while (!name.toLowerCase().startsWith(front.toLowerCase())) front = front.slice(0, -1);
  return front.slice(0, Math.max(...['-', '_', '.', ':', '/'].map((one) => front.lastIndexOf(one))) + 1) || (front.length > 2 ? front : '');
}

/**
 * One name with its `match` that means exactly these watchers: a name, the filter, a tag or a glob where one does, else
 * the list of all names.
 */
export function targetOf(watchers) {
  const names = new Set(watchers.map((watcher) => watcher.name));
  if (names.size === 1) {
    const { name } = watchers[0];
    return isGlob(name) || isTag(name) ? { name, match: 'simple' } : { name };
  }
  const all = byName();
  const front = stem(watchers);
  const filter = view.filter.trim();
  const tries = [isTag(filter) || isGlob(filter) ? filter : '', '*', ...(watchers[0].tags || []).map((tag) => `@${tag}`), front && !isGlob(front) && !isTag(front) ? `${front}*` : ''];
  for (const name of tries) {
    const list = name ? meant(name, 'glob', all) : [];
    if (list.length === names.size && list.every((watcher) => names.has(watcher.name))) return { name };
  }
  return { name: [...names].map((name) => name.replaceAll(',', '\\,')).join(','), match: 'list' };
}

function matches(watcher, filter) {
  if (!filter) return true;
  const low = filter.toLowerCase();
  if (isTag(low) && watcher.tags.some((tag) => tag.toLowerCase().startsWith(low.slice(1)))) return true;
  if (isGlob(filter) && globbed(filter)?.test(watcher.name)) return true;
  return watcher.name.toLowerCase().includes(low) || watcher.state.includes(low) || watcher.status.includes(low);
}

// --- order ------------------------------------------------------------------------------------------------------------

/** When the oldest of its processes was started, or null. */
export function startedAt(watcher) {
  let first = null;
  for (const process of watcher.processes) {
    if (process.pid !== null && process.started !== null && (first === null || process.started < first)) first = process.started;
  }
  return first;
}

const STEADY = 5; // seconds whose mean orders rows: a single one would have them jump

function mean(watcher, key) {
  const series = store.load.get(watcher.name)?.[key];
  let sum = 0;
  let count = 0;
  for (let second = series ? Math.max(series.first, series.next - STEADY) : 0; series && second < series.next; second += 1) {
    const value = series.at(second);
    if (!Number.isNaN(value)) { sum += value; count += 1; }
  }
  return count ? sum / count : -1;
}

// The figure by which each column orders, the smallest first.
const SORTS = {
  state: rank,
  name: null,
  procs: (watcher) => -watcher.processes.length,
  cpu: (watcher) => -mean(watcher, 'cpu'),
  mem: (watcher) => -mean(watcher, 'rss'),
  restarts: (watcher) => -watcher.restarts,
  up: (watcher) => startedAt(watcher) ?? Infinity,
  last: (watcher) => -(watcher.last_event?.time ?? 0),
};

/** The watchers that are shown, in their order. */
export function shown() {
  const within = SEGMENTS.find((segment) => segment[0] === view.segment)[2];
  const filter = view.filter.trim();
  const list = byName().filter((watcher) => within(watcher) && matches(watcher, filter));
  const figure = SORTS[view.sort];
  if (!figure) return view.down ? list.reverse() : list;
  const sign = view.down ? -1 : 1;
  // Equal ones stay in the order of their names. Two that are infinite are equal, though their difference is no number.
  return list.map((watcher) => [figure(watcher), watcher]).sort((a, b) => (a[0] === b[0] ? 0 : sign * (a[0] - b[0]))).map(([, watcher]) => watcher);
}

// --- groups -----------------------------------------------------------------------------------------------------------

const OTHERS = '';
const ORDER_OF_STATES = ['fail', 'ill', 'wait', 'still', 'start', 'stopping', 'run', 'idle', 'rest', 'lost'];

function prefix(name) {
  const found = /^(.+?)[-_.:/ ]|^(\D+)\d/.exec(name);
  return found ? found[1] || found[2] : OTHERS;
}

// What puts a watcher into a group: its first tag, what its name begins with, its state.
const GROUPS = {
  tag: { of: (watcher) => watcher.tags[0] || OTHERS, title: (key) => (key ? `@${key}` : say.noTag) },
  prefix: { of: (watcher) => prefix(watcher.name), title: (key) => key || say.otherNames, alone: true },
  state: { of: (watcher) => shape(watcher.state), title: (key) => states[key === 'stopping' ? 'stop' : key], by: (key) => ORDER_OF_STATES.indexOf(key) },
};

export const GROUPINGS = Object.keys(GROUPS);

/** The list in groups, each {key, title, watchers}; a name that shares its beginning with no other is among the others. */
export function grouped(list) {
  const kind = GROUPS[view.group];
  if (!kind) return null;
  const groups = new Map();
  const put = (key, watcher) => { if (groups.has(key)) groups.get(key).push(watcher); else groups.set(key, [watcher]); };
  for (const watcher of list) put(kind.of(watcher), watcher);
  if (kind.alone) {
    for (const [key, one] of [...groups]) if (key !== OTHERS && one.length === 1) { groups.delete(key); put(OTHERS, one[0]); }
  }
  const compare = kind.by ? (a, b) => kind.by(a) - kind.by(b) : (a, b) => (a === OTHERS) - (b === OTHERS) || order.compare(a, b);
  return [...groups.keys()].sort(compare).map((key) => ({ key: `${view.group} ${key}`, title: kind.title(key), watchers: groups.get(key) }));
}

/** The rows of the table: watchers, with a row before each group; without those of folded groups. */
export function rowsOf(list) {
  const groups = grouped(list);
  if (!groups) return list.map((watcher) => ({ key: watcher.name, watcher }));
  return groups.flatMap((group) => [{ key: ` ${group.key}`, group }, ...(folded.has(group.key) ? [] : group.watchers.map((watcher) => ({ key: watcher.name, watcher })))]);
}

/** The watchers that have a row, in their order: where the keys go. */
export function inRows() {
  return rowsOf(shown()).filter((row) => row.watcher).map((row) => row.watcher);
}

/** What does something to all that are chosen, by the name of a command; there while the page offers it, and what was wanted before. */
export const several = { press: null, wanted: '' };

// --- selection --------------------------------------------------------------------------------------------------------

let anchor = '';

/** Whether there is anything to choose watchers for: whoever may do nothing to them chooses none. */
export const mayChoose = may('operator');

/** The watchers that are chosen and there, by name. */
export function chosenWatchers() {
  return byName().filter((watcher) => chosen.has(watcher.name));
}

/** What can be chosen together with others: not the console itself, which would end what shows this page. */
export const isOrdinary = (watcher) => watcher.kind === 'watcher';

/** Chooses it, or not any more; with `range`, all rows between it and the one before. */
export function choose(name, range = false) {
  if (!mayChoose) return;
  const list = inRows();
  const [from, to] = [list.findIndex((watcher) => watcher.name === anchor), list.findIndex((watcher) => watcher.name === name)];
  if (range && from >= 0 && to >= 0) {
    for (const watcher of list.slice(Math.min(from, to), Math.max(from, to) + 1)) chosen.add(watcher.name);
    return;
  }
  if (chosen.has(name)) chosen.delete(name); else chosen.add(name);
  anchor = name;
}

/** Chooses all of these, or, where all of them are chosen, none. */
export function chooseAll(watchers) {
  const list = mayChoose ? watchers.filter(isOrdinary) : [];
  const all = list.every((watcher) => chosen.has(watcher.name));
  for (const watcher of list) if (all) chosen.delete(watcher.name); else chosen.add(watcher.name);
}

/** From the row that one is at to the next: both are chosen. */
export function extend(from, to) {
  if (!mayChoose) return;
  if (!chosen.size) anchor = from;
  chosen.add(from);
  chosen.add(to);
}

const before = remembered();
for (const name of REMEMBERED) if (typeof before[name] === typeof PLAIN[name]) view[name] = name === 'down' ? before[name] : allowed[name](before[name]);
readAddress(new URLSearchParams(location.search));
