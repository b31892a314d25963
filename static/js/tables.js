// The tables that everything on offer is made from, asked for once under the version of this page; and lines for the shell.

import { base } from './page.js';
import { word } from './format.js';
import { waiting } from './rows.js';
import { touch } from './store.js';
import { say } from './words.js';

export const tables = { ready: false, problem: '', roles: [], commands: [], waiting, sections: {}, families: {}, groups: [], signals: [] };

let asked = null;

/** The tables are there, or `problem` says why not; asked for when somebody wants them first, and again after a failure. */
export function loadTables() {
  asked ||= load();
  return asked;
}

async function load() {
  try {
    const answer = await fetch(new URL('../tables.json', import.meta.url));
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    Object.assign(tables, await answer.json(), { ready: true, problem: '' });
  } catch (error) {
    tables.problem = error.message;
    asked = null;
  }
  touch();
}

export function commandNamed(name) {
  return tables.commands.find((row) => row.name === name || row.aliases.includes(name)) || null;
}

/** The page of a command, for a watcher where one is named. */
export const commandAddress = (row, name = '') => `${base}/c/${encodeURIComponent(row.name)}${name ? `?name=${encodeURIComponent(name)}` : ''}`;

/** The kind of section whose options a field holds; empty for any other field. */
export function sectionOf(row, field) {
  return field.type === 'object' ? row.options || 'watcher' : '';
}

/** The row of an option's key, that of its family where it has one; undefined for a key of one's own. */
export function optionNamed(kind, key) {
  return tables.sections[kind].find((option) => option.name === key) || tables.families[kind].find((family) => key.startsWith(family.prefix));
}

/** The fields of a form: what the row takes, but for what its options say as well. */
export function fieldsOf(row) {
  const within = row.args.filter((field) => field.type === 'object').flatMap((field) => (tables.sections[sectionOf(row, field)] || []).map((option) => option.name));
  const own = row.args.filter((field) => !field.local && !(field.type === 'json' && within.includes(field.name)));
  return row.waits ? [...own, tables.waiting] : own;
}

/** The field that names watchers, if there is one. */
export function watcherField(row) {
  return row.args.find((field) => field.target === 'watcher') || null;
}

/** The options of a field in their groups, without those that are fields of their own. */
export function groupsOf(row, field) {
  const taken = new Set(row.args.filter((one) => one !== field && one.type !== 'json').map((one) => one.name));
  const left = new Map(tables.sections[sectionOf(row, field)].filter((option) => !taken.has(option.name)).map((option) => [option.name, option]));
  const groups = [];
  for (const [title, names] of tables.groups) {
    const options = names.filter((name) => left.has(name)).map((name) => left.get(name));
    options.forEach((option) => left.delete(option.name));
    if (options.length) groups.push({ title, options });
  }
  if (left.size) groups.push({ title: say.more, options: [...left.values()] });
  return groups;
}

/** What a field holds before anybody has touched it. */
export function initial(field) {
  if (field.type === 'object') return {};
  if (field.type === 'bool') return field === tables.waiting ? true : Boolean(field.default);
  return field.default === null || field.default === undefined ? '' : String(field.default);
}

const split = (text) => text.split(/\s+/).filter(Boolean);

function valueOf(field, held) {
  if (field.type === 'strings') return split(held);
  if (field.type === 'int') return /^[+-]?\d{1,15}$/.test(held.trim()) ? Number(held) : held;
  if (field.type === 'seconds') return held.trim() !== '' && Number.isFinite(Number(held)) ? Number(held) : held;
  if (field.type === 'json') {
    try { return JSON.parse(held); } catch { return held; }
  }
  return held;
}

const isGiven = (field, held) => (field.type === 'object' ? Object.keys(held).length > 0 : held !== '' && held !== initialSent(field));
// What the daemon assumes when it is told nothing.
const initialSent = (field) => (field.type === 'bool' ? Boolean(field.default) : field.default === null || field.default === undefined ? undefined : String(field.default));

/** What goes over the wire: what was given, and nothing that is so anyway. */
export function propertiesOf(row, held) {
  const properties = {};
  for (const field of fieldsOf(row)) {
    const value = held[field.name] ?? initial(field);
    if (isGiven(field, value)) properties[field.name] = field.type === 'object' ? value : valueOf(field, value);
  }
  return properties;
}

/** The names of the required fields that are still empty. */
export function missing(row, held) {
  return fieldsOf(row).filter((field) => field.required && !isGiven(field, held[field.name] ?? initial(field))).map((field) => field.name);
}

const pairs = (options) => Object.entries(options).map(([key, value]) => [key, typeof value === 'object' && value ? Object.entries(value).map((pair) => pair.join('=')).join(',') : String(value ?? '')]);
const quoted = (text) => (text === '' ? "''" : word(text));

/** The line that does the same in a shell. */
export function lineOf(row, held) {
  const flags = [];
  const words = [];
  for (const field of fieldsOf(row)) {
    const value = held[field.name] ?? initial(field);
    if (!isGiven(field, value)) {
      // What is still missing stands in the line as its help names it.
      if (field.required && field.positional) words.push(field.metavar || field.name.toUpperCase());
      continue;
    }
    if (field.type === 'secret') {
      // Everybody on a machine can read arguments: it is asked for where it has to be given, and else read from standard input.
      if (!field.required) flags.push(`--${field.name}-file`, '-');
      continue;
    }
    const flag = `--${field.flag || field.name}`;
    if (field.type === 'object') {
      if (field.positional) words.push(...pairs(value).flat().map(quoted));
      else flags.push(...pairs(value).flatMap(([key, text]) => [`--${key.replaceAll('_', '-')}`, quoted(text)]));
    } else if (field.positional) words.push(...(field.type === 'strings' ? split(value) : [value]).map(quoted));
    else if (field.type === 'bool') flags.push(value ? flag : `--no-${field.flag || field.name}`);
    else if (field.type !== 'json') flags.push(flag, quoted(value));
  }
  // What begins with a dash would be taken for a flag.
  const end = words.some((one) => one.startsWith('-')) ? ['--'] : [];
  return ['circusctl', row.name, ...flags, ...end, ...words].join(' ');
}

const SHOW = '-H "Authorization: Bearer $CIRCUS_TOKEN"';

/** The address of something of the HTTP API, as a program elsewhere asks for it. */
export const apiAddress = (rest) => `${location.origin}${base}/api/v1/${rest}`;

/** The line of curl that does the same; the token is in a variable, so that it is neither on the screen nor in a history. */
export function curlOf(row, held) {
  const properties = propertiesOf(row, held);
  const address = apiAddress(row.name);
  if (row.effect !== 'read') return `curl ${SHOW} --json ${quoted(JSON.stringify(properties))} ${quoted(address)}`;
  const pairs = Object.entries(properties).flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map((one) => [key, typeof one === 'object' ? JSON.stringify(one) : String(one)]));
  return `curl ${SHOW} ${quoted(pairs.length ? `${address}?${new URLSearchParams(pairs)}` : address)}`;
}

/** The line of curl that follows a stream. */
export const followLine = (rest) => `curl -N ${SHOW} ${quoted(apiAddress(`follow/${rest}`))}`;
