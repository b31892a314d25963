// Two sections of a watcher's page: its options, and what has happened to it.

import { useEffect, useLayoutEffect, useRef, useState } from '../vendor/hooks.js';
import { visible } from './ansi.js';
import { html, icon, mark, tone } from './shapes.js';
import { clockFine, count, when, word } from './format.js';
import { call } from './commands.js';
import { loadTables, tables } from './tables.js';
import { base, may } from './page.js';
import { moment } from './moment.js';
import { own } from './pages.js';
import { eventShape } from './overview.js';
import { sentence } from './track.js';
import { now, store } from './store.js';
import { details as say, say as common } from './words.js';

const EVENTS = 500;
const HIDDEN = '********';

/** The reply of a command, asked for anew with each change of `again`; the last one stays until the next is there. */
function useReply(command, properties, again) {
  const [told, setTold] = useState({ reply: null, problem: '' });
  useEffect(() => {
    let away = false;
    call(command, properties).then((reply) => { if (!away) setTold({ reply, problem: '' }); }, (error) => { if (!away) setTold((before) => ({ ...before, problem: error.message })); });
    return () => { away = true; };
  }, [command, JSON.stringify(properties), again]);
  return told;
}

function Problem({ text }) {
  return text ? html`<div class="blank"><p role="alert" class="is-fail">${text}</p></div>` : null;
}

// --- options --------------------------------------------------------------------------------------------------------

/** A value as lines of text, as files have it. */
function linesOf(value) {
  if (value === null || value === undefined || value === '') return [];
  if (Array.isArray(value)) return value.length ? [value.join(', ')] : [];
  if (typeof value === 'object') return Object.entries(value).map(([key, one]) => `${key}=${one}`);
  return [String(value)];
}

const isStandard = (value, standard) => {
  const text = linesOf(value).join('\n');
  return text === standard || (typeof value === 'number' && Number(standard) === value);
};

/** The value with asterisks for what may be a secret; its names stay. */
const hidden = (value) => (value && typeof value === 'object' ? Object.fromEntries(Object.keys(value).map((key) => [key, HIDDEN])) : value ? HIDDEN : value);

function Shown({ value, isHidden }) {
  const lines = linesOf(isHidden ? hidden(value) : value);
  if (!lines.length) return html`<span class="dim">–</span>`;
  return html`<span class="opt-value" dir="auto" title=${lines.some((line) => line.includes(HIDDEN)) ? say.hiddenValue : undefined}>${lines.map((line, i) => html`${i > 0 && html`<br />`}${visible(line)}`)}</span>`;
}

/** What a row of the table says of an option: its help, and what a change of it does. */
function about(key) {
  const row = tables.sections.watcher?.find((option) => option.name === key) || tables.families.watcher?.find((family) => key.startsWith(family.prefix));
  return row || {};
}

export function Options({ watcher }) {
  const { name } = watcher;
  const last = store.events.find((event) => event.watcher === name && /^watcher\.(updated|scaled)$/.test(event.event))?.number;
  const { reply, problem } = useReply('options', { name, match: 'simple' }, `${last} ${store.daemon?.epoch}`);
  const [typed, setTyped] = useState('');
  const [which, setWhich] = useState('');
  const [open, setOpen] = useState(false);
  useEffect(loadTables, []);
  useEffect(() => {
    own.keys['/'] = () => document.getElementById('find-option')?.focus();
    return () => { delete own.keys['/']; };
  });
  if (!reply?.options) return html`<section class="sheet options"><${Problem} text=${problem} /></section>`;
  const changed = reply.changed || {};
  // A signal has a name in the table, and a number here.
  const isOwn = (key) => about(key).name === key && about(key).type !== 'signal' && key !== 'working_dir' && !isStandard(reply.options[key], about(key).default);
  const isSecret = (key) => !open && (key === 'env' || about(key).secret === true);
  const segment = which || (Object.keys(changed).length ? 'changed' : 'all');
  const within = { changed: (key) => key in changed, own: (key) => key in changed || isOwn(key), all: () => true };
  const keys = Object.keys(reply.options).filter((key) => !key.endsWith('_conf') || !(key.slice(0, -5) in { stdout_stream: 1, stderr_stream: 1 }));
  const shown = keys.filter((key) => within[segment](key) && key.toLowerCase().includes(typed.trim().toLowerCase()));
  const segments = [['changed', say.changedOnly], ['own', say.ownOnly], ['all', say.allOptions]];
  return html`<section class="sheet options" aria-labelledby="o-h" data-ctl=${`circusctl options ${word(name)}`}>
    <header><h2 id="o-h">${say.options}</h2>
      <label class="in filter">${icon('find')}<span class="only-heard">${say.findOption}</span><input type="text" id="find-option" placeholder=${say.findOption} spellcheck=${false} autocomplete="off" value=${typed} onInput=${(event) => setTyped(event.target.value)} /><kbd>/</kbd></label>
      <div class="seg small" role="group" aria-label=${say.options}>${segments.map(([key, text]) => html`<button type="button" aria-pressed=${String(segment === key)} onClick=${() => setWhich(key)}>${text} <span class="n">${keys.filter(within[key]).length}</span></button>`)}</div>
      <span class="grow"></span>
      ${may('admin') && html`<button class="btn small" type="button" aria-pressed=${String(open)} onClick=${() => setOpen(!open)}>${open ? say.hideValues : say.showValues}</button>`}
      ${Object.keys(changed).length > 0 && may('admin') && html`<a class="btn small" href=${`${base}/c/save`} data-ctl="circusctl save --dry-run">${say.saveThem}</a>`}
      <a class="btn small" href=${`${base}/c/set?name=${encodeURIComponent(name)}`} data-ctl=${`circusctl set ${word(name)}`}>${icon('edit')}${common.editOptions}</a></header>
    <${Problem} text=${problem} />
    ${shown.length === 0 ? html`<div class="blank"><p>${typed ? say.noneFound : segment === 'changed' ? say.nothingChanged : say.nothingOwn}</p></div>` : html`<div class="rows-box" tabindex="0" role="group" aria-label=${say.options}><table class="tab compact"><thead><tr><th scope="col">${say.option}</th><th scope="col">${say.value}</th><th scope="col">${say.inFile}</th><th scope="col" class="hide-m">${say.effect}</th></tr></thead>
      <tbody>${shown.map((key) => html`<tr key=${key} class=${key in changed ? 'changed' : ''}><th scope="row"><code title=${about(key).doc || about(key).help}>${visible(key)}</code></th>
        <td><${Shown} value=${reply.options[key]} isHidden=${isSecret(key)} /></td>
        <td>${key in changed ? html`<span class="is-wait">▲</span> ${changed[key] === null ? html`<span class="dim">${say.notInFile}</span>` : html`<${Shown} value=${changed[key]} isHidden=${isSecret(key)} />`}` : html`<span class="dim">=</span>`}</td>
        <td class="dim hide-m">${common.applies[key === 'numprocesses' ? 'number' : about(key).apply] || ''}</td></tr>`)}</tbody></table></div>`}
  </section>`;
}

// --- events ---------------------------------------------------------------------------------------------------------

const LEVELS = [['', say.allLevels, () => true], ['warning', say.warnings, (event) => event.level !== 'info'], ['error', say.errors, (event) => event.level === 'error']];

export function Events({ watcher }) {
  const { name } = watcher;
  const { reply, problem } = useReply('events', { name, match: 'simple', lines: EVENTS }, store.daemon?.epoch);
  const [level, setLevel] = useState('');
  const list = useRef();
  const known = new Map();
  for (const event of reply?.events || []) known.set(event.number, event);
  for (const event of store.events) if (event.watcher === name) known.set(event.number, event);
  const all = [...known.values()].sort((a, b) => b.number - a.number).slice(0, EVENTS);
  const wanted = LEVELS.find((row) => row[0] === level)[2];
  const shown = all.filter(wanted);
  const picked = moment.watcher === name && moment.time ? shown.find((event) => event.time <= moment.time + 0.5) : null;
  useLayoutEffect(() => { list.current?.querySelector('.meant')?.scrollIntoView({ block: 'center' }); }, [picked?.number]);
  return html`<section class="sheet happened" aria-labelledby="we-h" data-ctl=${`circusctl events ${word(name)} -n ${EVENTS}`}>
    <header><h2 id="we-h">${say.events}</h2><span class="dim">${say.ofEvents(count(all.length))}</span><span class="grow"></span>
      <div class="seg small" role="group" aria-label=${say.events}>${LEVELS.map(([key, text, test]) => html`<button type="button" aria-pressed=${String(level === key)} onClick=${() => setLevel(key)}>${text} <span class="n">${all.filter(test).length}</span></button>`)}</div></header>
    <${Problem} text=${problem} />
    ${shown.length === 0 ? reply && html`<div class="blank"><p>${say.noEvents}</p></div>` : html`<ol class="events" ref=${list} tabindex="0" aria-labelledby="we-h">${shown.map((event) => {
      const kind = eventShape(event);
      return html`<li key=${event.number} class=${event === picked ? 'meant' : ''}><time title=${when(event.time, now())}>${clockFine(event.time).slice(0, 8)}</time><span class=${tone[kind]}>${mark(kind)}</span><p title=${event.text}>${visible(sentence(event))}</p>
        <button class="btn small icon quiet" type="button" aria-label=${`${say.toLog}: ${clockFine(event.time).slice(0, 8)}`} title=${say.toLog} onClick=${() => moment.set(name, event.time)}>${icon('list')}</button></li>`;
    })}</ol>`}
  </section>`;
}
