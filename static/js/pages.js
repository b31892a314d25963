// The pages: what each is called in an address, in the navigation and in the palette, and what draws it.

import { base, may, page } from './page.js';
import { word } from './format.js';
import { audit, daemon, events, plugins, read, say, sockets } from './words.js';

/**
 * A row for each page, in the order of the navigation.
 *
 * part    what stands for it in an address, after the daemon's name; nothing for the first page
 * title   its name, where it can be gone to by itself
 * key     after g it leads there
 * more    whether it stands below the button in any window, and not in the bar
 * role    who may see it; without one, everybody
 * whole   whether it tells of the daemon as a whole, and so only those who may see all watchers
 * screen  whether it fills the window and scrolls inside, as a log does
 * sheet   its own style sheet, in css/
 * line    what circusctl would show instead, for the rest of the address
 * load    gets what draws it, where that is no part of the first view: a component that takes {rest, params, visit}
 */
export const PAGES = [
  { part: '', title: say.watchers, key: 'w', line: () => 'circusctl status' },
  { part: 'w', screen: true, line: (rest) => `circusctl tail ${word(rest)} --follow` },
  { part: 'p', sheet: 'process', line: (rest) => `circusctl process ${word(rest.slice(0, rest.lastIndexOf('/')))} ${rest.slice(rest.lastIndexOf('/') + 1)}`, load: () => import('./process.js').then((module) => module.ProcessPage) },
  { part: 'logs', title: read.logs, key: 'l', screen: true, sheet: 'log', line: () => 'circusctl tail --follow', load: () => import('./logs.js').then((module) => module.LogsPage) },
  { part: 'events', title: events.title, key: 'e', sheet: 'events', line: () => 'circusctl events --follow', load: () => import('./eventspage.js').then((module) => module.EventsPage) },
  { part: 'sockets', title: sockets.title, key: 's', sheet: 'sockets', line: () => 'circusctl listsockets --details', load: () => import('./socketspage.js').then((module) => module.SocketsPage) },
  { part: 'daemon', title: daemon.title, key: 'd', whole: true, sheet: 'daemon', line: () => 'circusctl daemon', load: () => import('./daemonpage.js').then((module) => module.DaemonPage) },
  { part: 'graph', title: say.dependencies, key: 'g', more: true, sheet: 'graph', line: (rest) => (rest ? `circusctl timeline${rest === 'last' ? ' --last' : ''}` : 'circusctl graph'), load: () => import('./graphpage.js').then((module) => module.GraphPage) },
  { part: 'plugins', title: plugins.title, key: 'p', more: true, whole: true, sheet: 'plugins', line: () => 'circusctl plugins', load: () => import('./pluginspage.js').then((module) => module.PluginsPage) },
  { part: 'people', title: say.people, key: 'u', more: true, sheet: 'people', line: () => (may('admin') ? 'circusctl people' : 'circusctl sessions'), load: () => import('./people.js').then((module) => module.PeoplePage) },
  { part: 'audit', title: audit.title, key: 'a', more: true, role: 'admin', whole: true, sheet: 'audit', line: () => 'circusctl audit', load: () => import('./auditpage.js').then((module) => module.AuditPage) },
  { part: 'c', title: say.commands, key: 'c', more: true, sheet: 'command', line: (rest) => `circusctl help${rest ? ` ${word(rest)}` : ''}`, load: () => import('./command.js').then((module) => module.CommandPage) },
];

/** The pages that this person is led to: not those that would only say no. */
export const offered = PAGES.filter((row) => row.title && may(row.role || 'viewer') && (page.seesAll || !row.whole));

/**
 * What the page that is shown does with single keys, by key, and pairs of keys and words that tell of them; and the log that
 * it shows. The page itself puts them here while it is shown.
 */
export const own = { keys: {}, help: [], pane: null };

const byPart = new Map(PAGES.map((row) => [row.part, row]));

export function pageAddress(row) {
  return row.part ? `${base}/${row.part}/` : `${base}/`;
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** Where an address leads: its page, the rest of the address behind the page's part, and what it asks for. */
export function placeOf({ pathname, search }) {
  const [part, ...rest] = pathname.slice(base.length + 1).split('/');
  const row = byPart.get(part) || byPart.get('');
  return { row, rest: rest.map(decoded).join('/'), params: new URLSearchParams(search) };
}

const sheets = new Map(); // by name: what waits for it

/**
 * The style sheet of a page is there afterwards, also if it could not be had: a page without one can be read, and whoever
 * comes again asks again.
 */
export function loadSheet(name) {
  if (name && !sheets.has(name)) {
    sheets.set(name, new Promise((done) => {
      const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: new URL(`../css/${name}.css`, import.meta.url).href, onload: done });
      link.onerror = () => { link.remove(); sheets.delete(name); done(); };
      document.head.append(link);
    }));
  }
  return sheets.get(name);
}
