// Ctrl K: every command for every watcher, and every page; typed words narrow it, Enter goes there.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { html, icon, state } from './shapes.js';
import { visible } from './ansi.js';
import { address } from './overview.js';
import { watcherState } from './parts.js';
import { byName } from './store.js';
import { may } from './page.js';
import { pageAddress, PAGES } from './pages.js';
import { commandAddress, fieldsOf, initial, lineOf, loadTables, tables, watcherField } from './tables.js';
import { word } from './format.js';
import { say } from './words.js';

const MOST = 60; // entries that are shown; more words find the others

const PICTURES = { start: 'start', stop: 'stop', restart: 'restart', reload: 'reload', incr: 'plus', decr: 'minus' };

function command(row, watcher) {
  const field = watcherField(row);
  const held = Object.fromEntries(fieldsOf(row).map((one) => [one.name, initial(one)]));
  if (watcher) held[field.name] = watcher.name;
  return {
    group: say.paletteDo, key: `c ${row.name} ${watcher?.name || ''}`, text: watcher ? `${row.name} ${watcher.name}` : row.name, small: row.summary,
    side: may(row.role) ? (row.effect === 'destroy' ? say.asksFirst : '') : say.needs(row.role), picture: icon(PICTURES[row.name] || 'chev'), line: lineOf(row, held), to: commandAddress(row, watcher?.name),
  };
}

function entries() {
  const watchers = byName();
  const pages = [
    ...PAGES.filter((row) => row.title).map((row) => ({ group: say.paletteGo, key: `p ${row.part}`, text: row.title, small: '', side: may(row.role || 'viewer') ? `g ${row.key}` : say.needs(row.role), picture: icon('list'), line: row.line(''), to: pageAddress(row) })),
    ...watchers.map((watcher) => ({ group: say.paletteGo, key: `w ${watcher.name}`, text: watcher.name, small: say.itsPage, side: watcherState(watcher).word, picture: state(watcherState(watcher).kind, ''), line: `circusctl tail ${word(watcher.name)} --follow`, to: address(watcher) })),
  ];
  const plain = tables.commands.map((row) => command(row, null));
  const each = tables.commands.filter((row) => watcherField(row) && row.where === 'daemon').flatMap((row) => watchers.map((watcher) => command(row, watcher)));
  return { pages, plain, each };
}

/** How well the words fit: every one has to be found; at the beginning of a word is better. */
function fit(entry, words) {
  const text = entry.text.toLowerCase();
  let sum = 0;
  for (const one of words) {
    const at = text.indexOf(one);
    if (at < 0) {
      if (!entry.small.toLowerCase().includes(one)) return -1;
      sum += 1;
    } else sum += at === 0 || /[\s_:.-]/.test(text[at - 1]) ? 4 : 2;
    if (text.split(/\s/).includes(one)) sum += 3;
  }
  return sum - text.length / 100;
}

export function found(typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const { pages, plain, each } = entries();
  if (!words.length) return [...plain, ...pages];
  const list = [...plain, ...each, ...pages].map((entry) => [fit(entry, words), entry]).filter(([value]) => value >= 0).sort((a, b) => b[0] - a[0]).map(([, entry]) => entry);
  // Those of one group together, the group of the best first.
  const groups = [...new Set(list.map((entry) => entry.group))];
  return groups.flatMap((group) => list.filter((entry) => entry.group === group));
}

/** Words of the entry with what was typed in bold. */
function marked(text, typed) {
  const words = typed.split(/\s+/).filter(Boolean).map((one) => one.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (!words.length) return visible(text);
  return text.split(new RegExp(`(${words.join('|')})`, 'ig')).map((part, i) => (i % 2 ? html`<b>${visible(part)}</b>` : visible(part)));
}

export function Palette({ open, begin, onClose, visit }) {
  const dialog = useRef();
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  useEffect(() => {
    if (open && !dialog.current.open) { setTyped(begin ? `${begin} ` : ''); setAt(0); dialog.current.showModal(); }
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  useEffect(() => { if (open) loadTables(); }, [open]);
  const list = open ? found(typed) : [];
  const shown = list.slice(0, MOST);
  const here = Math.min(at, Math.max(0, shown.length - 1));
  useEffect(() => { if (open) document.getElementById(`o-${here}`)?.scrollIntoView({ block: 'nearest' }); }, [here, typed]);
  const go = (entry) => {
    if (!entry) return;
    // Closed first: it gives the focus back, and the page that is gone to takes it after that.
    dialog.current.close();
    onClose();
    visit(entry.to);
  };
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) setAt(Math.min(shown.length - 1, Math.max(0, here + step)));
    else if (event.key === 'Enter') go(shown[here]);
    else return;
    event.preventDefault();
  };
  const groups = [...new Set(shown.map((entry) => entry.group))];
  return html`<dialog class="palette" ref=${dialog} onClose=${onClose} aria-label=${say.findOrDo} onClick=${(event) => { if (event.target === dialog.current) onClose(); }}>${open && html`
    <div class="ask">${icon('find')}<input type="text" role="combobox" aria-expanded="true" aria-autocomplete="list" aria-controls="found" aria-activedescendant=${shown.length ? `o-${here}` : undefined} aria-label=${say.whatToFind} placeholder=${say.findOrDo} autofocus
      spellcheck="false" autocomplete="off" value=${typed} onInput=${(event) => { setTyped(event.target.value); setAt(0); }} onKeyDown=${keys} /><span class="dim" role="status">${say.foundMany(list.length)}</span><button class="btn small" type="button" onClick=${onClose}>${say.closeIt} <kbd>Esc</kbd></button></div>
    ${tables.problem && html`<div class="blank"><p role="alert">${say.noTables(tables.problem)}</p></div>`}
    ${shown.length === 0 && html`<div class="blank"><p>${say.foundNothing(typed)}</p></div>`}
    <div role="listbox" id="found" hidden=${shown.length === 0} aria-label=${say.foundHere} tabindex="-1">${groups.map((group) => html`<div role="group" aria-label=${group}><div class="gh" aria-hidden="true">${group}</div>
      ${shown.map((entry, i) => (entry.group === group ? html`<div role="option" id=${`o-${i}`} key=${entry.key} aria-selected=${String(i === here)} onPointerMove=${() => { if (i !== here) setAt(i); }} onClick=${() => go(entry)}>${entry.picture}
        <span class="what"><span dir="auto">${marked(entry.text, typed)}</span>${entry.small && html` <small>${entry.small}</small>`}</span><small>${entry.side}</small></div>` : null))}</div>`)}</div>
    <div class="line"><i aria-hidden="true">$</i><code>${shown[here]?.line || ''}</code></div>
    <div class="hints"><span><kbd>↑</kbd><kbd>↓</kbd> ${say.choose}</span><span><kbd>Enter</kbd> ${say.opens}</span></div>`}</dialog>`;
}
