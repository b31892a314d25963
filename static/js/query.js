// What a person chose to see of a log, how that is written in an address, and how a person reads it best.

import { objectOf, shownValue, valueOf } from './json.js';
import { parse } from './match.js';
import { store } from './store.js';

export const everything = () => ({ q: '', exact: false, before: 0, after: 0, find: '', streams: [true, true], levels: [true, true, true, true, true], fields: [], columns: [] });

const CONTEXT = 100; // lines around a match, at most

/** As the address has it: only what differs from everything. */
export function toParams(query, params = new URLSearchParams()) {
  for (const name of ['q', 'find']) if (query[name]) params.set(name, query[name]);
  if (query.exact) params.set('case', '1');
  for (const name of ['before', 'after']) if (query[name]) params.set(name, query[name]);
  if (!query.streams.every(Boolean)) params.set('stream', query.streams[0] ? 'stdout' : query.streams[1] ? 'stderr' : 'none');
  if (!query.levels.every(Boolean)) params.set('levels', query.levels.map((on, at) => (on ? at : '')).join(''));
  for (const field of query.fields) params.append(field.not ? 'not' : 'only', `${field.name}=${field.value}`);
  for (const column of query.columns) params.append('column', column);
  return params;
}

export function fromParams(params) {
  const query = everything();
  query.q = params.get('q') || '';
  query.find = params.get('find') || '';
  query.exact = params.get('case') === '1';
  for (const name of ['before', 'after']) query[name] = context(params.get(name));
  const stream = params.get('stream');
  if (stream) query.streams = [stream === 'stdout', stream === 'stderr'];
  const levels = params.get('levels');
  if (levels !== null) query.levels = query.levels.map((_, at) => levels.includes(String(at)));
  for (const kind of ['only', 'not']) {
    for (const text of params.getAll(kind)) {
      const at = text.indexOf('=');
      if (at > 0) query.fields.push({ name: text.slice(0, at), value: text.slice(at + 1), not: kind === 'not' });
    }
  }
  query.columns = params.getAll('column').slice(0, 12);
  return query;
}

/** A number of lines around a match, from what was typed. */
export function context(text) {
  const number = Math.floor(Number(text));
  return number > 0 ? Math.min(number, CONTEXT) : 0;
}

/** A test of a line by its level and its fields; null when all are wanted. */
export function picksOf({ levels, fields }) {
  if (levels.every(Boolean) && !fields.length) return null;
  return (lines, row, bare) => {
    if (!levels[lines.level(row)]) return false;
    if (!fields.length) return true;
    const object = objectOf(bare);
    return fields.every(({ name, value, not }) => {
      const there = object ? valueOf(object, name) : undefined;
      return (there !== undefined && shownValue(there) === value) !== Boolean(not);
    });
  };
}

/** What is typed, read; or `{problem}`. */
export function parsed(typed, exact) {
  try { return { pattern: parse(typed, exact) }; } catch (error) { return { pattern: null, problem: error.message }; }
}

// --- how it is read ------------------------------------------------------------------------------------------------

const KEY = 'circus.log';
const STANDARD = { wrap: false, compact: false, zone: 'local', folded: false };

function remembered() {
  try { return { ...STANDARD, ...JSON.parse(localStorage.getItem(KEY) || '{}') }; } catch { return { ...STANDARD }; }
}

/** Wrap, density, time zone, folding: as they were chosen last. */
export const habits = remembered();

export function setHabit(name, value) {
  habits[name] = value;
  try { localStorage.setItem(KEY, JSON.stringify(habits)); } catch { /* A browser that keeps nothing forgets it. */ }
}

const two = (number) => String(number).padStart(2, '0');

/** A Date whose UTC fields are those of the clock in a zone: local, utc or daemon. */
export function shifted(epoch, zone = habits.zone) {
  const at = new Date(epoch * 1000);
  if (zone === 'utc') return at;
  const minutes = zone === 'daemon' ? (store.daemon?.utc_offset ?? 0) / 60 : -at.getTimezoneOffset();
  return new Date(at.getTime() + minutes * 60000);
}

const hands = (at) => `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;

let today = ['', 0]; // the day it is in a zone, and until when that is known

function isToday(at, zone) {
  const now = Date.now() / 1000;
  if (today[0] !== zone || now > today[1]) today = [zone, now + 1, shifted(now, zone).toISOString().slice(0, 10)];
  return at.toISOString().slice(0, 10) === today[2];
}

/** The time of a line to the millisecond; with the day where that is another one, and then to the second. */
export function lineClock(epoch) {
  const at = shifted(epoch);
  if (Number.isNaN(at.getTime())) return '';
  if (!isToday(at, habits.zone)) return `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${hands(at)}`;
  return `${hands(at)}.${String(at.getUTCMilliseconds()).padStart(3, '0')}`;
}

/** The day of a moment, as a number that grows; and in words. */
export function dayOf(epoch) {
  return Math.floor(shifted(epoch).getTime() / 86400000);
}

export function dayWord(day) {
  return new Date(day * 86400000).toLocaleDateString(document.documentElement.lang, { timeZone: 'UTC', weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
}

/** Day and time in full, with the zone. */
export function fullClock(epoch) {
  const at = shifted(epoch);
  if (Number.isNaN(at.getTime())) return '';
  const minutes = Math.round(at.getTime() / 60000 - epoch / 60);
  const zone = minutes ? `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}` : 'Z';
  return `${at.toISOString().slice(0, 10)} ${hands(at)}.${String(at.getUTCMilliseconds()).padStart(3, '0')} ${zone}`;
}

const UNITS = { s: 1, m: 60, min: 60, h: 3600, d: 86400 };

/**
 * The moment that is meant, in epoch seconds: `14:05`, `14:05:30`, `2026-03-01 14:05`, `10 min ago`, `-2h`, or seconds
 * since 1970. Of a time without a day the last one is meant. Null for anything else.
 */
export function moment(typed, now) {
  const text = typed.trim().toLowerCase();
  const ago = /^-?\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)(?:\s+ago)?$/.exec(text);
  if (ago) return now - Number(ago[1]) * UNITS[ago[2]];
  if (/^\d{9,11}(\.\d+)?$/.test(text)) return Number(text);
  const found = /^(?:(\d{4})-(\d\d?)-(\d\d?)[t\s]+)?(\d\d?):(\d\d)(?::(\d\d(?:\.\d+)?))?$/.exec(text);
  if (!found) return null;
  const here = shifted(now);
  const [year, month, day] = found[1] ? [Number(found[1]), Number(found[2]) - 1, Number(found[3])] : [here.getUTCFullYear(), here.getUTCMonth(), here.getUTCDate()];
  const wall = Date.UTC(year, month, day, Number(found[4]), Number(found[5])) / 1000 + Number(found[6] || 0);
  const there = wall - Math.round((here.getTime() / 1000 - now) / 60) * 60;
  return !found[1] && there > now + 60 ? there - 86400 : there;
}

// --- colours ---------------------------------------------------------------------------------------------------------

const COLOURS = 8;
const COLOURS_KEY = 'circus.colours';
const NAMES = 500; // whose colours are remembered

let given = null;

/** The colour of a watcher, 1 to 8: given once and kept. */
export function colourOf(watcher) {
  if (!given) {
    try { given = new Map(JSON.parse(localStorage.getItem(COLOURS_KEY) || '[]')); } catch { given = new Map(); }
  }
  let colour = given.get(watcher);
  if (!(colour >= 1 && colour <= COLOURS)) {
    const used = new Array(COLOURS + 1).fill(0);
    for (const one of given.values()) used[one] += 1;
    colour = 1;
    for (let one = 2; one <= COLOURS; one += 1) if (used[one] < used[colour]) colour = one;
    if (given.size >= NAMES) given.delete(given.keys().next().value);
    given.set(watcher, colour);
    try { localStorage.setItem(COLOURS_KEY, JSON.stringify([...given])); } catch { /* They are kept for as long as the page is there. */ }
  }
  return colour;
}
