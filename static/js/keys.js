// Single keys, in one table: what each does, where, and in which words. They never act while a field has the focus.

import { act, barred, presses } from './commands.js';
import { copyPrompt } from './frame.js';
import { address } from './overview.js';
import { base } from './page.js';
import { offered, own, pageAddress } from './pages.js';
import { touch, watcherNamed } from './store.js';
import { choose, chooseAll, chosen, extend, inRows, keepView, several, shown, view } from './view.js';
import { keyWords, verbs } from './words.js';

const CHORD = 1500; // milliseconds that g waits for the key of a page

function inField(target) {
  return target.matches?.('input:not([type="checkbox"]), textarea, select, [contenteditable]');
}

const rowWithin = () => document.activeElement?.closest?.('tr[data-watcher]');

/** From row to row; with `also`, both are chosen. */
function move(by, also = false) {
  const list = inRows();
  const here = list.findIndex((watcher) => watcher.name === view.at);
  // The first press shows where one is, the next ones move.
  const next = list[Math.min(list.length - 1, Math.max(0, here + (view.reach || rowWithin() ? by : 0)))];
  if (!next) return;
  if (also) extend(view.at, next.name);
  view.at = next.name;
  view.reach = true;
  touch();
}

/** From process to process of the watcher that is shown. */
function step(by) {
  const rows = [...document.querySelectorAll('tr[data-wid]')];
  const here = rows.findIndex((row) => row.tabIndex === 0);
  const inside = document.activeElement?.closest?.('tr[data-wid]');
  rows[Math.min(rows.length - 1, Math.max(0, here + (inside ? by : 0)))]?.focus();
}

function press(row, at) {
  if (at.list && chosen.size) {
    if (several.press) several.press(row.name); else several.wanted = row.name;
  } else if (at.watcher && !barred(row.name, at.watcher)) act(row.name, at.watcher);
}

const inLog = (at) => at.log && own.pane;

// Each: the keys, when they count, what they do, and (in the first row of several) how ? tells of them.
const KEYS = [
  { keys: ['j', 'J'], when: inLog, run: (at, event) => own.pane.move(1, event.shiftKey) },
  { keys: ['k', 'K'], when: inLog, run: (at, event) => own.pane.move(-1, event.shiftKey) },
  { keys: ['Enter'], when: (at, key, event) => own.pane && event.target.matches?.('.log'), run: () => own.pane.open() },
  { keys: ['j', 'ArrowDown'], when: (at, key) => at.list && (key === 'j' || at.onRow), run: (at, event) => move(1, event.shiftKey), help: ['j k', keyWords.down] },
  { keys: ['k', 'ArrowUp'], when: (at, key) => at.list && (key === 'k' || at.onRow), run: (at, event) => move(-1, event.shiftKey) },
  { keys: ['j', 'ArrowDown'], when: (at, key) => at.one && (key === 'j' || at.onProcess), run: () => step(1) },
  { keys: ['k', 'ArrowUp'], when: (at, key) => at.one && (key === 'k' || at.onProcess), run: () => step(-1) },
  { keys: [' '], when: (at, key, event) => at.list && event.target.matches?.('tr[data-watcher]'), run: () => { choose(view.at); touch(); }, help: ['Space', keyWords.choose] },
  { keys: [], help: ['Shift+↑ Shift+↓', keyWords.range] },
  { keys: ['*'], when: (at) => at.list, run: () => { chooseAll(shown()); touch(); }, help: ['*', keyWords.all] },
  { keys: ['Enter'], when: (at, key, event) => at.list && event.target.matches?.('tr[data-watcher]') && at.watcher, run: (at, event, app) => app.visit(address(at.watcher)), help: ['Enter', keyWords.open] },
  ...presses.map((row) => ({ keys: [row.key], when: (at, key, event) => !event.repeat && (at.watcher || (at.list && chosen.size)), run: (at) => press(row, at), help: [row.key, verbs[row.name]] })),
  { keys: ['e'], when: (at) => at.watcher, run: (at, event, app) => app.visit(`${base}/c/set?name=${encodeURIComponent(at.watcher.name)}`), help: ['e', keyWords.options] },
  { keys: ['a'], run: (at, event, app) => app.visit(`${base}/c/add`), help: ['a', keyWords.add] },
  { keys: ['/'], run: () => (document.getElementById('filter') || document.getElementById('find-option'))?.focus(), help: ['/', keyWords.filter] },
  { keys: ['f'], when: () => own.pane, run: () => own.pane.toggle(), help: ['f', keyWords.follow] },
  { keys: ['Home'], when: () => own.pane, run: () => own.pane.home(), help: ['Home End', keyWords.ends] },
  { keys: ['End'], when: () => own.pane, run: () => own.pane.end() },
  { keys: [], help: ['J K', keyWords.lines] },
  { keys: ['c'], when: () => own.pane, run: () => own.pane.copy(), help: ['c', keyWords.copyLines] },
  { keys: ['l'], when: () => own.pane, run: () => own.pane.link(), help: ['l', keyWords.link] },
  { keys: ['n'], when: () => own.pane, run: () => own.pane.step(1), help: ['n N', keyWords.matches] },
  { keys: ['N'], when: () => own.pane, run: () => own.pane.step(-1) },
  { keys: ['t'], when: () => own.pane, run: () => own.pane.time(), help: ['t', keyWords.time] },
  { keys: ['w'], when: () => own.pane, run: () => own.pane.wrap(), help: ['w', keyWords.wrap] },
  { keys: ['y'], run: copyPrompt, help: ['y', keyWords.copy] },
  { keys: ['?'], run: (at, event, app) => app.keys(), help: ['?', keyWords.help] },
];

/** All keys with what they do, for people. */
export function keyRows() {
  return [
    ...KEYS.filter((row) => row.help).map((row) => row.help), ...own.help,
    ...offered.map((row) => [`g ${row.key}`, row.title]),
    ['Ctrl+K', keyWords.palette], ['Esc', keyWords.leave],
  ];
}

/** Where one is: on the list of watchers or at one of them, and which watcher a key would be for. */
function whereabouts(place) {
  const [list, one] = [place.row.part === '', place.row.part === 'w'];
  const onRow = list && (view.reach || Boolean(rowWithin()));
  const watcher = onRow ? watcherNamed(view.at || '') : one ? watcherNamed(place.rest) : null;
  const log = place.row.part === 'logs' || Boolean(own.pane?.focused());
  return { list, one, log, onRow, watcher, onProcess: Boolean(document.activeElement?.closest?.('tr[data-wid]')) };
}

/** One thing less: what is chosen, then the filter, or what the page has of its own. */
function leave(place, target) {
  if (own.keys.Escape) own.keys.Escape();
  else if (place.row.screen) own.pane?.escape();
  else if (chosen.size && target.id !== 'filter') chosen.clear();
  else { view.filter = ''; view.segment = 'all'; keepView(); }
}

/** Listens from now on; `app` says where one is and goes elsewhere. */
export function listen(app) {
  let chord = 0;
  // A key that is held down presses once: the button that has the focus after the first press is another one.
  document.addEventListener('keydown', (event) => { if (event.repeat && event.key === 'Enter' && !event.target.matches?.('textarea')) event.preventDefault(); }, true);
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k' && !document.querySelector('dialog[open]')) {
      event.preventDefault();
      app.palette('');
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]')) return;
    const place = app.place();
    if (event.key === 'Escape') {
      if (inField(event.target) && !['filter', 'find-line'].includes(event.target.id)) return;
      leave(place, event.target);
      if (inField(event.target)) event.target.blur();
      app.redraw();
      return;
    }
    if (inField(event.target)) return;
    const goal = chord && Date.now() - chord < CHORD && offered.find((row) => row.key === event.key);
    chord = 0;
    if (goal) { app.visit(pageAddress(goal)); return; }
    if (event.key === 'g') { chord = Date.now(); return; }
    const at = whereabouts(place);
    const run = own.keys[event.key] || KEYS.find((row) => row.keys.includes(event.key) && (!row.when || row.when(at, event.key, event)))?.run;
    if (!run) return;
    event.preventDefault();
    run(at, event, app);
  });
}
