// The bar above a log: what is shown of it, what is looked for, where to go, and how it is read.

import { useLayoutEffect, useRef, useState } from '../vendor/hooks.js';
import { count, word } from './format.js';
import { html, icon } from './shapes.js';
import { LEVELS } from './level.js';
import { STREAMS } from './lines.js';
import { Part } from './later.js';
import { base } from './page.js';
import { own } from './pages.js';
import { context, habits, moment, parsed, setHabit, shifted } from './query.js';
import { now } from './store.js';
import { read, say, verbs } from './words.js';

const ALERTS = { part: 'alertbox', name: 'readmenu', sheet: 'alerts', load: () => import('./alertbox.js').then((module) => module.AlertBox) };

const turned = (list, at) => list.map((on, i) => (i === at ? !on : on));

/** How many lines of each level are held, of the sources that are read. */
function levelCounts(reading, watchers, streams) {
  const names = watchers && new Set(watchers.map((name) => name.toLowerCase()));
  const counts = [0, 0, 0, 0, 0];
  for (const source of reading.lines.sources) {
    if (source.stream > 1 || !streams[source.stream] || (names && !names.has(source.watcher.toLowerCase()))) continue;
    for (let level = 0; level < 5; level += 1) counts[level] += source.levels[level];
  }
  return counts;
}

function Find({ reading, query, setQuery, id }) {
  const found = reading.matches();
  const keys = (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    reading.step(event.shiftKey ? -1 : 1);
  };
  return html`<label class="in find-in">${icon('find')}<span class="only-heard">${read.highlight}</span><input type="text" id=${id} placeholder=${read.highlight} spellcheck=${false} autocomplete="off" aria-keyshortcuts="n"
      value=${query.find} aria-invalid=${reading.findProblem ? 'true' : undefined} onInput=${(event) => setQuery({ ...query, find: event.target.value })} onKeyDown=${keys} />
    ${found && html`<span class="hit" data-hits>${read.hits(count(found.place), count(found.total), found.place > 0)}</span>
    <button class="btn small icon quiet" type="button" aria-label=${read.matchBefore} title=${`${read.matchBefore} (N)`} onClick=${() => reading.step(-1)}>${icon('up')}</button>
    <button class="btn small icon quiet" type="button" aria-label=${read.nextMatch} title=${`${read.nextMatch} (n)`} onClick=${() => reading.step(1)}>${icon('chevd')}</button>`}</label>`;
}

function Streams({ query, set }) {
  return html`<div class="seg small streams" role="group" aria-label=${read.streams}>${STREAMS.map((stream, at) => html`<button type="button" aria-pressed=${String(query.streams[at])} onClick=${() => set({ streams: turned(query.streams, at) })}>${stream}</button>`)}</div>`;
}

function TimeBox({ reading, feed, onClose }) {
  const [typed, setTyped] = useState('');
  const [problem, setProblem] = useState('');
  const input = useRef();
  useLayoutEffect(() => input.current.focus(), []);
  const go = async (event) => {
    event.preventDefault();
    // Not what was drawn last: a quick hand is ahead of that.
    const time = moment(input.current.value, now());
    if (time === null) { setProblem(read.noTime); return; }
    const { lines } = reading;
    if (lines.count && time >= lines.time(lines.first) && !(feed.past && time > lines.time(lines.next - 1))) {
      const row = lines.rowAt(time);
      reading.pick(Math.min(row, lines.next - 1), false);
      reading.view.show(Math.min(row, lines.next - 1));
      onClose();
      return;
    }
    const there = await feed.at(time);
    if (there === false) { setProblem(read.nothingThen); return; }
    if (there) { reading.views.forEach((view) => view.hold()); reading.view.show(Math.min(lines.rowAt(time), lines.next - 1)); onClose(); }
  };
  return html`<form class="readmenu time" onSubmit=${go} aria-label=${read.goToTime}>
    <label>${read.goToTime}<span class="in"><input type="text" ref=${input} value=${typed} placeholder=${read.timeExample} spellcheck=${false} autocomplete="off" aria-invalid=${problem ? 'true' : undefined} aria-describedby="time-help"
      onInput=${(event) => { setTyped(event.target.value); setProblem(''); }} onKeyDown=${(event) => { if (event.key === 'Escape') { event.stopPropagation(); onClose(); } }} /></span></label>
    <button class="btn small main" type="submit">${verbs.go}</button>
    <p id="time-help" class=${problem ? 'is-fail' : 'dim'} role=${problem ? 'alert' : undefined}>${problem || `${read.timeHelp} ${shifted(now()).toISOString().slice(11, 19)}`}</p></form>`;
}

function Choice({ label, value, options, choose }) {
  return html`<div class="row"><span>${label}</span><div class="seg small" role="group" aria-label=${label}>${options.map(([name, text]) => html`<button type="button" aria-pressed=${String(value === name)} onClick=${() => choose(name)}>${text}</button>`)}</div></div>`;
}

function save(reading, name) {
  const blob = new Blob([reading.text(reading.shownRows())], { type: 'text/plain;charset=utf-8' });
  const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: `${name}.log` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function Menu({ reading, query, setQuery, watchers, pane, tools }) {
  const [column, setColumn] = useState('');
  const lines = (name) => html`<label>${read[name]} <span class="in"><input type="text" inputmode="numeric" size="3" value=${query[name] || ''} placeholder="0" onInput=${(event) => setQuery({ ...query, [name]: context(event.target.value) })} /></span></label>`;
  const add = (event) => {
    event.preventDefault();
    const name = column.trim();
    if (name && !query.columns.includes(name)) setQuery({ ...query, columns: [...query.columns, name] });
    setColumn('');
  };
  const one = watchers?.length === 1 ? watchers[0] : null;
  return html`<div class="readmenu" role="group" aria-label=${read.howItIsRead}>
    <div class="row only-s"><${Find} reading=${reading} query=${query} setQuery=${setQuery} /></div>
    <div class="row only-s"><span>${read.streams}</span><${Streams} query=${query} set=${(more) => setQuery({ ...query, ...more })} /></div>
    <${Choice} label=${read.lines} value=${habits.wrap} options=${[[false, read.cut], [true, read.wrapped]]} choose=${(value) => pane.habit('wrap', value)} />
    <${Choice} label=${read.density} value=${habits.compact} options=${[[false, read.roomy], [true, read.dense]]} choose=${(value) => pane.habit('compact', value)} />
    <${Choice} label=${read.zone} value=${habits.zone} options=${[['local', read.zoneLocal], ['utc', 'UTC'], ['daemon', read.zoneDaemon]]} choose=${(value) => pane.habit('zone', value)} />
    <${Choice} label=${read.traces} value=${habits.folded} options=${[[false, read.unfolded], [true, read.folded]]} choose=${(value) => pane.habit('folded', value)} />
    <div class="row"><span>${read.around}</span>${lines('before')}${lines('after')}</div>
    <${Choice} label=${read.letters} value=${query.exact} options=${[[false, read.anyCase], [true, read.exactCase]]} choose=${(value) => setQuery({ ...query, exact: value })} />
    <form class="row" onSubmit=${add}><label>${read.column} <span class="in"><input type="text" value=${column} placeholder=${read.columnExample} spellcheck=${false} autocomplete="off" onInput=${(event) => setColumn(event.target.value)} /></span></label><button class="btn small" type="submit">${verbs.add}</button></form>
    ${tools}
    <div class="row end"><button class="btn small" type="button" onClick=${() => save(reading, one || 'circus')}>${icon('load')}${read.saveShown}</button>
      ${one && html`<a class="btn small" href=${downloadAddress(one, query)} download data-ctl=${`circusctl tail ${word(one)} --files`}>${icon('load')}${query.q ? read.saveMatches : read.saveAll}</a>`}</div>
  </div>`;
}

/** Where the whole log of a watcher comes from: of all that circusd and the log files have, what the filter leaves. */
function downloadAddress(name, query) {
  const params = new URLSearchParams({ files: 'true' });
  if (!query.streams.every(Boolean)) params.set('stream', query.streams[0] ? 'stdout' : 'stderr');
  const { pattern } = parsed(query.q, query.exact);
  if (pattern) {
    if (pattern.regex === null) params.set('text', pattern.text); else params.set('pattern', pattern.regex);
    if (pattern.regex === null ? !query.exact : pattern.flags.includes('i')) params.set('ignore_case', 'true');
    if (pattern.inverse) params.set('invert', 'true');
    for (const around of ['before', 'after']) if (query[around]) params.set(around, query[around]);
  }
  return `${base}/download/${encodeURIComponent(name)}?${params}`;
}

function Chips({ query, setQuery }) {
  if (!query.fields.length && !query.columns.length) return null;
  const without = (list, one) => list.filter((other) => other !== one);
  return html`<div class="chips">${query.fields.map((field) => html`<button class="chip" type="button" aria-label=${read.remove(`${field.name} ${field.value}`)} onClick=${() => setQuery({ ...query, fields: without(query.fields, field) })}><code>${field.name} ${field.not ? '≠' : '='} ${field.value}</code> ×</button>`)}
    ${query.columns.map((column) => html`<button class="chip" type="button" aria-label=${read.remove(column)} onClick=${() => setQuery({ ...query, columns: without(query.columns, column) })}>${read.columnChip} <code>${column}</code> ×</button>`)}</div>`;
}

export function Bar({ reading, feed, query, setQuery, hidden, menu, setMenu, seed, heading, watchers, tools, search, pane }) {
  pane.habit = (name, value) => { setHabit(name, value); reading.redraw(); reading.changed(); };
  const set = (more) => setQuery({ ...query, ...more });
  const { problem, view } = reading;
  const following = (view ? view.following : true) && !feed.past;
  const counts = levelCounts(reading, watchers, query.streams);
  const chips = [4, 3, 2, 1].filter((level) => counts[level] > 0 || !query.levels[level]);
  const behind = view && view.sieve.behind > 5000 ? view.sieve.behind : 0;
  const names = (watchers || []).map(word).join(' ');
  const tail = `circusctl tail ${names ? `${names} ` : ''}--follow`;
  const toggle = (name) => setMenu(menu === name ? '' : name);
  return html`<div class="bar" role="toolbar" aria-label=${read.reading}>${heading && html`<h2 id="l-h">${heading}</h2>`}
      <label class="in filter">${icon('filter')}<span class="only-heard">${read.onlyLines}</span><input type="text" id="filter" placeholder=${say.filterLines} spellcheck=${false} autocomplete="off" aria-keyshortcuts="/"
        value=${query.q} aria-invalid=${problem ? 'true' : undefined} aria-describedby=${problem ? 'l-bad' : undefined} onInput=${(event) => set({ q: event.target.value })} />
        ${behind > 0 ? html`<span class="dim">${read.toGo(count(behind))}</span>` : hidden > 0 && html`<span class="dim">${read.hidden(count(hidden))}</span>`}<kbd>/</kbd></label>
      ${problem && html`<span class="is-fail" id="l-bad" role="alert">${say.badPattern(problem)}</span>`}
      <${Find} reading=${reading} query=${query} setQuery=${setQuery} id="find-line" />
      ${chips.length > 0 && html`<div class="lvls" role="group" aria-label=${read.levels}>${chips.map((level) => html`<button class=${`lvl ${level === 4 ? 'e' : level === 3 ? 'w' : ''}`} type="button" title=${LEVELS[level].label}
        aria-pressed=${String(query.levels[level])} onClick=${() => set({ levels: turned(query.levels, level) })}><b>${LEVELS[level].word}</b>${count(counts[level])}</button>`)}</div>`}
      <span class="grow hide-s"></span>
      ${(query.q || query.find) && !problem && watchers?.length !== 0 && html`<button class="btn small" type="button" data-ctl=${`circusctl grep --files ${word(query.q || query.find)}`} onClick=${() => pane.search()}>${icon('find')}${read.searchHistory}</button>`}
      ${search}
      <${Streams} query=${query} set=${set} />
      <button class="btn small quiet" type="button" aria-expanded=${String(menu === 'time')} aria-keyshortcuts="t" onClick=${() => toggle('time')}>${read.goTo} <kbd>t</kbd></button>
      <button class="btn small icon quiet" type="button" aria-label=${read.wrap} title=${`${read.wrap} (w)`} aria-pressed=${String(habits.wrap)} aria-keyshortcuts="w" onClick=${() => pane.habit('wrap', !habits.wrap)}>${icon('wrap')}</button>
      <button class="btn small icon quiet" type="button" aria-label=${read.tellMe} title=${read.tellMe} aria-expanded=${String(menu === 'alert')} onClick=${() => (menu === 'alert' ? setMenu('') : pane.alert(null))}>${icon('bell')}</button>
      <button class="btn small icon quiet" type="button" aria-label=${read.more} title=${read.more} aria-expanded=${String(menu === 'more')} onClick=${() => toggle('more')}>${icon('more')}</button>
      <button class="btn small" type="button" aria-pressed=${String(following)} aria-keyshortcuts="f" data-ctl=${tail} onClick=${() => own.pane.toggle()}>${icon('down')}${following ? verbs.following : verbs.follow} <kbd>f</kbd></button>
      ${menu === 'time' && html`<${TimeBox} reading=${reading} feed=${feed} onClose=${() => setMenu('')} />`}
      ${menu === 'alert' && html`<${Part} row=${ALERTS} seed=${seed} exact=${query.exact} watchers=${watchers} onClose=${() => setMenu('')} />`}
      ${menu === 'more' && html`<${Menu} reading=${reading} query=${query} setQuery=${setQuery} watchers=${watchers} pane=${pane} tools=${tools} />`}
    </div><${Chips} query=${query} setQuery=${setQuery} />`;
}
