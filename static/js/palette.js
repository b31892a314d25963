// Ctrl K: every command for every watcher, and every page; typed words narrow it, Enter goes there.

import { useEffect, useMemo, useRef, useState } from '../vendor/hooks.js';
import { html, icon, state } from './shapes.js';
import { visible } from './ansi.js';
import { address } from './overview.js';
import { watcherState } from './parts.js';
import { byName, store } from './store.js';
import { base, may } from './page.js';
import { offered, pageAddress } from './pages.js';
import { commandAddress, fieldsOf, initial, lineOf, loadTables, tables, watcherField } from './tables.js';
import { word } from './format.js';
import { meant } from './view.js';
import { say } from './words.js';

const MOST = 60; // entries that are shown; more words find the others

const RECENT = 8; // that are shown first
const PLACE = 'circus-recent';

function recent() {
  try { return JSON.parse(localStorage.getItem(PLACE)) || []; } catch { return []; }
}

function remember(key) {
  try { localStorage.setItem(PLACE, JSON.stringify([key, ...recent().filter((one) => one !== key)].slice(0, RECENT))); } catch { /* a browser that keeps nothing */ }
}

/** A command for what is named by one of its fields, or by none. */
function command(row, field, name, more) {
  const held = Object.fromEntries(fieldsOf(row).map((one) => [one.name, initial(one)]));
  if (field) held[field.name] = name;
  const key = field ? `${encodeURIComponent(field.name)}=${encodeURIComponent(name)}` : '';
  return {
    group: say.paletteDo, small: more || row.summary, side: may(row.role) ? (row.effect === 'destroy' ? say.asksFirst : '') : say.needs(row.role),
    picture: icon(row.icon || 'chev'), line: lineOf(row, held), to: `${commandAddress(row)}${key && `?${key}`}`,
  };
}

const MAKERS = {
  page: ({ page }) => ({ group: say.paletteGo, small: '', side: `g ${page.key}`, picture: icon('list'), line: page.line(''), to: pageAddress(page) }),
  watcher: ({ watcher }) => {
    const { kind, word: side } = watcherState(watcher);
    return { group: say.paletteGo, small: say.itsPage, side, picture: state(kind, ''), line: `circusctl tail ${word(watcher.name)} --follow`, to: address(watcher) };
  },
  plain: ({ row }) => command(row),
  named: ({ row, field, name, more }) => command(row, field, name, more),
  clone: ({ name }) => ({ group: say.paletteDo, small: say.cloneIs, side: may('admin') ? '' : say.needs('admin'), picture: icon('copy'), line: 'circusctl help add', to: `${base}/c/add?like=${encodeURIComponent(name)}` }),
};

const item = (kind, key, text, small, more) => ({ kind, key, text, low: text.toLowerCase(), small: small.toLowerCase(), ...more });

// All that can be found: words alone, as there may be thousands; what is shown of them is made when it is shown.
let known = { stamp: null, items: [], byKey: new Map() };

/** The items as things are now, and those whose names the stamp does not show are made anew with the next opening. */
function index(anew) {
  const stamp = [tables.commands.length, store.watchers.size, store.sockets.length].join();
  if (!anew && stamp === known.stamp) return known;
  const watchers = byName();
  const items = [
    ...tables.commands.map((row) => item('plain', `c ${row.name}`, row.name, row.summary, { row })),
    ...offered.map((row) => item('page', `p ${row.part}`, row.title, '', { page: row })),
    ...watchers.map((watcher) => item('watcher', `w ${watcher.name}`, watcher.name, say.itsPage, { watcher })),
  ];
  for (const row of tables.commands) {
    if (row.where !== 'daemon') continue;
    const field = row.args.find((one) => one.target === 'watcher' || one.target === 'socket');
    if (!field) continue;
    for (const { name } of field.target === 'socket' ? store.sockets : watchers) items.push(item('named', `c ${row.name} ${name}`, `${row.name} ${name}`, row.summary, { row, field, name }));
  }
  for (const { name } of watchers) items.push(item('clone', `l ${name}`, say.cloneOf(name), say.cloneIs, { name }));
  known = { stamp, items, byKey: new Map(items.map((one) => [one.key, one])) };
  return known;
}

/** Where a word is a glob or a tag: every command for all that it means. */
function forMany(typed) {
  const pattern = typed.split(/\s+/).find((one) => /[*?[]|^@./.test(one));
  const number = pattern ? meant(pattern, 'glob', byName()).length : 0;
  if (!number) return [];
  return tables.commands.filter((row) => watcherField(row) && row.where === 'daemon')
    .map((row) => item('named', `m ${row.name} ${pattern}`, `${row.name} ${pattern}`, row.summary, { row, field: watcherField(row), name: pattern, more: say.forMany(number) }));
}

/** How well the words fit: every one has to be found; at the beginning of a word is better. */
function fit({ low, small }, words) {
  let sum = 0;
  for (const one of words) {
    const at = low.indexOf(one);
    if (at < 0) {
      if (!small.includes(one)) return -1;
      sum += 1;
    } else {
      const end = at + one.length;
      sum += at === 0 || /[\s_:.-]/.test(low[at - 1]) ? 4 : 2;
      if ((at === 0 || low[at - 1] === ' ') && (end === low.length || low[end] === ' ')) sum += 3;
    }
  }
  return sum - low.length / 100;
}

/** The best of the items by a value that is not below 0, the best first, and how many there are; sorting thousands takes long. */
function bestOf(items, valueOf) {
  let total = 0;
  let best = [];
  let least = -1;
  const cut = () => {
    best = best.sort((a, b) => b[0] - a[0]).slice(0, MOST);
    if (best.length === MOST) [least] = best.at(-1);
  };
  for (const one of items) {
    const value = valueOf(one);
    if (value < 0) continue;
    total += 1;
    if (value > least) best.push([value, one]);
    if (best.length >= 4 * MOST) cut();
  }
  cut();
  return { total, best: best.map(([, one]) => one) };
}

/** The best of what fits, made to be shown, and how many there are; without a word, what was gone to last comes first. */
export function found(typed, anew = false) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const { items, byKey } = index(anew);
  const last = recent();
  const made = (one, group) => ({ ...MAKERS[one.kind](one), key: one.key, text: one.text, ...(group && { group }) });
  if (!words.length) {
    const first = last.map((key) => byKey.get(key)).filter(Boolean);
    const rest = items.filter((one) => (one.kind === 'plain' || one.kind === 'page' || one.kind === 'watcher') && !first.includes(one));
    return { total: first.length + rest.length, list: [...first.map((one) => made(one, say.paletteRecent)), ...rest.slice(0, MOST - first.length).map((one) => made(one))] };
  }
  const { total, best } = bestOf([...forMany(typed), ...items], (one) => {
    const value = fit(one, words);
    return value < 0 ? value : value + (last.includes(one.key) ? 1 : 0);
  });
  const list = best.map((one) => made(one));
  // Those of one group together, the group of the best first.
  const groups = [...new Set(list.map((entry) => entry.group))];
  return { total, list: groups.flatMap((group) => list.filter((entry) => entry.group === group)) };
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
  // Looked for once for each letter, and not each time that the page is drawn.
  const { total, list: shown } = useMemo(() => (open ? found(typed, !typed) : { total: 0, list: [] }), [open, typed, tables.ready]);
  const here = Math.min(at, Math.max(0, shown.length - 1));
  useEffect(() => { if (open) document.getElementById(`o-${here}`)?.scrollIntoView({ block: 'nearest' }); }, [here, typed]);
  const go = (entry) => {
    if (!entry) return;
    // Closed first: it gives the focus back, and the page that is gone to takes it after that.
    dialog.current.close();
    onClose();
    if (!entry.key.startsWith('m ')) remember(entry.key);
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
      spellcheck=${false} autocomplete="off" value=${typed} onInput=${(event) => { setTyped(event.target.value); setAt(0); }} onKeyDown=${keys} /><span class="dim" role="status">${say.foundMany(total)}</span><button class="btn small" type="button" onClick=${onClose}>${say.closeIt} <kbd>Esc</kbd></button></div>
    ${tables.problem && html`<div class="blank"><p role="alert">${say.noTables(tables.problem)}</p></div>`}
    ${shown.length === 0 && html`<div class="blank"><p>${say.foundNothing(typed)}</p></div>`}
    <div role="listbox" id="found" hidden=${shown.length === 0} aria-label=${say.foundHere} tabindex="-1">${groups.map((group) => html`<div role="group" aria-label=${group}><div class="gh" aria-hidden="true">${group}</div>
      ${shown.map((entry, i) => (entry.group === group ? html`<div role="option" id=${`o-${i}`} key=${entry.key} aria-selected=${String(i === here)} onPointerMove=${() => { if (i !== here) setAt(i); }} onClick=${() => go(entry)}>${entry.picture}
        <span class="what"><span dir="auto">${marked(entry.text, typed)}</span>${entry.small && html` <small>${entry.small}</small>`}</span><small>${entry.side}</small></div>` : null))}</div>`)}</div>
    <div class="line"><i aria-hidden="true">$</i><code>${shown[here]?.line || ''}</code></div>
    <div class="hints"><span><kbd>↑</kbd><kbd>↓</kbd> ${say.choose}</span><span><kbd>Enter</kbd> ${say.opens}</span></div>`}</dialog>`;
}
