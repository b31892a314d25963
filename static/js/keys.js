// Single keys. They never act while a field has the focus.

import { act, barred } from './commands.js';
import { copyPrompt } from './frame.js';
import { address, shown, view } from './overview.js';
import { base } from './page.js';
import { own, pageAddress, PAGES } from './pages.js';
import { shownPane } from './pane.js';
import { touch, watcherNamed } from './store.js';

const ACTS = { s: 'start', r: 'restart', R: 'reload', x: 'stop', '+': 'more', '-': 'less' };

function inField(target) {
  return target.matches?.('input, textarea, select, [contenteditable]');
}

function move(by) {
  const list = shown();
  const here = list.findIndex((watcher) => watcher.name === view.at);
  // The first press shows where one is, the next ones move.
  const focused = view.reach || document.activeElement?.closest?.('tr[data-watcher]');
  const next = list[Math.min(list.length - 1, Math.max(0, here + (focused ? by : 0)))];
  if (!next) return;
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

/** Listens from now on; `app` says where one is and goes elsewhere. */
export function listen(app) {
  let chord = 0;
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k' && !document.querySelector('dialog[open]')) {
      event.preventDefault();
      app.palette('');
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const place = app.place();
    if (event.key === 'Escape') {
      if (document.querySelector('dialog[open]')) return;
      if (inField(event.target) && event.target.id !== 'filter') return;
      if (own.keys.Escape) own.keys.Escape(); else if (place.row.screen) shownPane.escape?.(); else { view.filter = ''; view.segment = 'all'; }
      if (inField(event.target)) event.target.blur();
      app.redraw();
      return;
    }
    if (inField(event.target) || document.querySelector('dialog[open]')) return;
    const goal = chord && Date.now() - chord < 1500 && PAGES.find((row) => row.key === event.key);
    if (goal) { chord = 0; app.visit(pageAddress(goal)); return; }
    chord = 0;
    const onOverview = place.row.part === '';
    const atWatcher = place.row.part === 'w';
    const watcher = onOverview ? watcherNamed(view.at || '') : atWatcher ? watcherNamed(place.rest) : null;
    const pressed = {
      j: () => (atWatcher ? step(1) : onOverview && move(1)), k: () => (atWatcher ? step(-1) : onOverview && move(-1)), a: () => app.visit(`${base}/c/add`), ArrowDown: null, ArrowUp: null,
      y: copyPrompt, '?': app.keys, f: () => shownPane.toggle?.(), g: () => { chord = Date.now(); },
      '/': () => (document.getElementById('filter') || document.getElementById('find-option'))?.focus(),
      End: shownPane.end, Home: shownPane.home,
      ...own.keys,
    }[event.key];
    if (pressed) {
      event.preventDefault();
      pressed();
      return;
    }
    const onRow = onOverview && (view.reach || document.activeElement?.matches?.('tr[data-watcher]'));
    const onProcess = document.activeElement?.closest?.('tr[data-wid]');
    if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && (onRow || onProcess)) {
      event.preventDefault();
      (onRow ? move : step)(event.key === 'ArrowDown' ? 1 : -1);
    } else if (event.key === 'Enter' && onRow && watcher) {
      app.visit(address(watcher));
    } else if (event.key === 'e' && watcher && (atWatcher || onRow)) {
      app.visit(`${base}/c/set?name=${encodeURIComponent(watcher.name)}`);
    } else if (ACTS[event.key] && watcher && (atWatcher || onRow)) {
      event.preventDefault();
      const what = ACTS[event.key];
      if (!barred(what, watcher)) act(what, watcher);
    }
  });
}
