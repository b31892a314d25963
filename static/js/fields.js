// Form elements by type: of a command's own fields, and of the options of a section.

import { useState } from '../vendor/hooks.js';
import { html, mark } from './shapes.js';
import { groupsOf, sectionOf, tables } from './tables.js';
import { byName, watcherNamed } from './store.js';
import { page } from './page.js';
import { say } from './words.js';

/** A table's text: what stands between double backquotes is code. */
export function prose(text) {
  return text.split('``').map((part, i) => (i % 2 ? html`<code>${part}</code>` : part));
}

/** A name of the table in words: "Graceful timeout". */
export function inWords(name) {
  const text = name.replaceAll('_', ' ');
  return text[0].toUpperCase() + text.slice(1);
}

const CHOICE = { true: say.yes, false: say.no };

/** A line of the form: what it is, the element, what is wrong with it, and help. */
export function Line({ name, id, required, changed, problem, help, effect, extra, children }) {
  const words = inWords(name);
  return html`<div class=${`field${problem ? ' bad' : changed ? ' changed' : ''}`} data-field=${name}>
    <label for=${id}>${words}${required && html`<span class="must"> ${say.required}</span>`}${words.toLowerCase() !== name && html`<code>${name}</code>`}</label>
    <div class="row">${children}${effect && html`<span class="effect">${effect}</span>`}${extra}</div>
    ${problem && html`<p class="oops" id=${`${id}-oops`} role="status">${mark('fail')}<span>${problem.text}${problem.hint ? html`; <b>${problem.hint}</b>` : ''}</span></p>`}
    ${help && html`<p class="help" id=${`${id}-help`}>${help}</p>`}</div>`;
}

function described(id, problem, unit) {
  return [problem && `${id}-oops`, `${id}-help`, unit && `${id}-unit`].filter(Boolean).join(' ');
}

/** What can be chosen for a field that names something. */
function known(field, held) {
  if (field.type === 'signal') return tables.signals;
  if (field.target === 'watcher') return byName().map((watcher) => watcher.name);
  if (field.target === 'process') return (watcherNamed(held.name || '')?.processes || []).filter((process) => process.pid !== null).map((process) => String(process.pid));
  if (field.target === 'option') return tables.sections.watcher.map((option) => option.name);
  return [];
}

/** One field of a command. */
export function Field({ field, held, problem, change, why }) {
  const id = `f-${field.name}`;
  const value = held[field.name];
  const set = (next) => change(field.name, next);
  const list = known(field, held);
  const shared = { id, 'aria-describedby': described(id, problem, field.type === 'seconds'), 'aria-invalid': problem ? 'true' : undefined, disabled: Boolean(why) };
  const help = html`${prose(field.doc)}${field.type === 'strings' ? `; ${say.severalWords}` : ''}`;
  let element;
  if (field.type === 'bool') {
    element = html`<label class="yes"><input class="tick" type="checkbox" ...${shared} checked=${value} onChange=${(event) => set(event.target.checked)} /> ${say.yes}</label>`;
  } else if (field.choices.length) {
    const open = field.default === null || field.default === undefined;
    element = html`<select class="choose" ...${shared} value=${value} onChange=${(event) => set(event.target.value)}>${open && html`<option value="">${say.any}</option>`}${field.choices.map((choice) => html`<option value=${choice} selected=${choice === value}>${choice}</option>`)}</select>`;
  } else {
    const wide = !['int', 'seconds', 'signal'].includes(field.type);
    element = html`<div class=${`in${wide ? ' wide' : ''}`}><input type=${field.type === 'secret' ? 'password' : 'text'} ...${shared} class=${field.name === 'cmd' ? 'mono' : ''} value=${value} required=${field.required} inputmode=${field.type === 'int' ? 'numeric' : field.type === 'seconds' ? 'decimal' : undefined}
      list=${list.length ? `${id}-list` : undefined} spellcheck=${false} autocomplete=${field.type === 'secret' ? (field.name === 'current' ? 'current-password' : 'new-password') : 'off'} onInput=${(event) => set(event.target.value)} />${field.type === 'seconds' && html`<span class="unit" id=${`${id}-unit`}>s</span>`}</div>
      ${list.length > 0 && html`<datalist id=${`${id}-list`}>${list.slice(0, 500).map((one) => html`<option value=${one} />`)}</datalist>`}`;
  }
  return html`<${Line} name=${field.name} id=${id} required=${field.required} problem=${problem} help=${help}>${element}</${Line}>`;
}

// --- options ------------------------------------------------------------------------------------------------------------

/** A value of the daemon's as the text that its option is written with. */
export function optionText(option, value) {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.join(option.widget === 'command' ? ' ' : ', ');
  if (typeof value === 'object') return Object.entries(value).map((pair) => pair.join('=')).join('\n');
  return String(value);
}

/** What is sent for a text: variables one by one, everything else as it is written. */
function sent(option, text) {
  if (option.widget !== 'env') return text;
  return Object.fromEntries(text.split('\n').filter((line) => line.trim()).map((line) => { const at = line.indexOf('='); return at < 0 ? [line, ''] : [line.slice(0, at).trim(), line.slice(at + 1)]; }));
}

const reach = (needed) => tables.roles.indexOf(page.role) >= tables.roles.indexOf(needed);

/** When a changed option counts, in words. */
export function counts(option, isNew) {
  return isNew ? '' : say.applies[option.name === 'numprocesses' ? 'number' : option.apply];
}

function OptionLine({ option, given, current, problem, change, isNew }) {
  const id = `o-${option.name}`;
  const old = current && !option.secret ? optionText(option, current[option.name]) : '';
  const changed = given !== undefined;
  const [typed, setTyped] = useState(null); // of variables: the text, as an object keeps no half line
  const value = changed ? typed ?? optionText(option, given) : old;
  const why = reach(option.role) ? '' : say.optionNeeds(option.role);
  const set = (text) => { setTyped(text); change(option.name, text === old && !(option.secret && text) ? undefined : sent(option, text)); };
  const undo = () => { setTyped(null); change(option.name, undefined); };
  const shared = { id, 'aria-describedby': described(id, problem, option.unit), 'aria-invalid': problem ? 'true' : undefined, disabled: Boolean(why), title: why || undefined };
  const standard = option.default === '' ? say.noneGiven : CHOICE[option.default] || option.default;
  let element;
  if (option.widget === 'switch' || option.widget === 'select') {
    const choices = option.widget === 'switch' ? ['true', 'false'] : option.choices;
    element = html`<select class="choose" ...${shared} value=${value} onChange=${(event) => set(event.target.value)}>${(isNew || value === '') && html`<option value="" selected=${value === ''}>${say.standard(standard)}</option>`}${choices.map((choice) => html`<option value=${choice} selected=${choice === value}>${CHOICE[choice] || choice}</option>`)}</select>`;
  } else if (option.widget === 'env') {
    element = html`<div class="in wide tall"><textarea rows="3" class="mono" ...${shared} value=${value} placeholder=${say.nameValue} spellcheck=${false} onInput=${(event) => set(event.target.value)}></textarea></div>`;
  } else {
    const narrow = ['number', 'duration', 'bytes', 'signal'].includes(option.widget);
    element = html`<div class=${`in${narrow ? '' : ' wide'}`}><input type="text" ...${shared} class=${narrow ? '' : 'mono'} value=${value} placeholder=${isNew && option.default !== '' ? option.default : ''} list=${option.widget === 'signal' ? 'signals' : undefined}
      spellcheck=${false} autocomplete="off" onInput=${(event) => set(event.target.value)} />${option.unit && html`<span class="unit" id=${`${id}-unit`}>${option.unit}</span>`}</div>`;
  }
  const undone = changed && html`${!isNew && !option.secret && html`<span class="was">${say.was(old || say.noneGiven)}</span>`}<button class="btn small quiet" type="button" aria-label=${`${say.undo}: ${option.name}`} onClick=${undo}>${say.undo}</button>`;
  const help = html`${prose(option.doc)} ${say.expected(option.expected)}${option.told ? ` ${option.told[0].toUpperCase()}${option.told.slice(1)}.` : ''}${why ? ` ${why}` : ''}${option.secret && !isNew ? ` ${say.secretHere}` : ''}`;
  return html`<${Line} name=${option.name} id=${id} problem=${problem} changed=${changed} help=${help} effect=${counts(option, isNew)} extra=${undone}>${element}</${Line}>`;
}

/** A key that no line of the form has: of a family (hooks.NAME), or one of the person's own. */
function Other({ families, change }) {
  const [key, setKey] = useState('');
  const [value, setValue] = useState('');
  const add = () => { if (key.trim()) { change(key.trim(), value); setKey(''); setValue(''); } };
  const enter = (event) => { if (event.key === 'Enter') { event.preventDefault(); add(); } };
  return html`<div class="field" data-other><label for="other-key">${say.otherOption}</label><div class="row">
    <div class="in"><input id="other-key" type="text" class="mono" placeholder=${families[0]?.name || ''} aria-describedby="other-help" spellcheck=${false} autocomplete="off" value=${key} onInput=${(event) => setKey(event.target.value)} onKeyDown=${enter} /></div>
    <div class="in wide"><input id="other-value" type="text" class="mono" aria-label=${say.otherValue} spellcheck=${false} autocomplete="off" value=${value} onInput=${(event) => setValue(event.target.value)} onKeyDown=${enter} /></div>
    <button class="btn small" type="button" onClick=${add}>${say.addOption}</button></div><p class="help" id="other-help">${say.otherHelp} ${families.map((family) => html`<code>${family.name}</code>: ${prose(family.doc)} `)}</p></div>`;
}

/** All options of a section in their groups, the most used first; `current` are the values of what is there already. */
export function Options({ row, field, held, problems, change, current }) {
  const [find, setFind] = useState('');
  const given = held[field.name];
  const isNew = !field.positional;
  const set = (key, value) => {
    const next = { ...given };
    if (value === undefined || (isNew && value === '')) delete next[key]; else next[key] = value;
    change(field.name, next);
  };
  const groups = groupsOf(row, field);
  const listed = new Set(groups.flatMap((group) => group.options.map((option) => option.name)));
  const others = Object.keys(given).filter((key) => !listed.has(key));
  const low = find.trim().toLowerCase().replaceAll(' ', '_');
  const isFound = (option) => !low || option.name.includes(low) || option.doc.toLowerCase().includes(find.trim().toLowerCase());
  return html`<section class="sheet" aria-labelledby="options-h"><header><h2 id="options-h">${inWords(field.name)}</h2><span class="dim">${prose(field.doc)}</span><span class="grow"></span>
      <label class="in filter"><span class="only-heard">${say.findOption}</span><input type="text" id="find-option" placeholder=${say.findOption} spellcheck=${false} autocomplete="off" value=${find} onInput=${(event) => setFind(event.target.value)} /></label></header>
    <datalist id="signals">${tables.signals.map((name) => html`<option value=${name} />`)}</datalist>
    ${groups.map((group, i) => {
      const options = group.options.filter(isFound);
      const changed = group.options.filter((option) => option.name in given).length;
      if (!options.length) return null;
      return html`<details key=${group.title} open=${i === 0 || Boolean(low) || group.options.some((option) => problems[option.name])}><summary>${group.title} <span class="n">${changed ? say.changed(changed) : options.length}</span></summary>
        ${options.map((option) => html`<${OptionLine} key=${option.name} option=${option} given=${given[option.name]} current=${current} problem=${problems[option.name]} change=${set} isNew=${isNew} />`)}</details>`;
    })}
    <details open=${others.length > 0}><summary>${say.others} <span class="n">${others.length || ''}</span></summary>${others.map((key) => html`<${Line} key=${key} name=${key} id=${`o-${key}`} changed problem=${problems[key]}
      extra=${html`<button class="btn small quiet" type="button" aria-label=${`${say.undo}: ${key}`} onClick=${() => set(key, undefined)}>${say.undo}</button>`}><div class="in wide"><input id=${`o-${key}`} type="text" class="mono" value=${String(given[key])} onInput=${(event) => set(key, event.target.value)} /></div></${Line}>`)}
      <${Other} families=${tables.families[sectionOf(row, field)]} change=${set} /></details></section>`;
}
