// A dialog that asks for a few values and does something with them; what goes wrong stands in it, and nothing is lost.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { html, mark } from './shapes.js';
import { visible } from './ansi.js';
import { CommandError } from './commands.js';

/** One line: a label, an element, and help. `kind` is text, password, select or tick. */
function Line({ field, value, change, first }) {
  const id = `ask-${field.name}`;
  const set = (event) => change(field.name, event.target[field.kind === 'tick' ? 'checked' : 'value']);
  const help = field.help && html`<p class="help" id=${`${id}-help`}>${field.help}</p>`;
  const shared = { id, name: field.name, 'aria-describedby': field.help ? `${id}-help` : undefined, autofocus: first || undefined };
  if (field.kind === 'tick') return html`<div class="line"><label class="yes"><input class="tick" type="checkbox" ...${shared} checked=${value} onChange=${set} /> ${field.label}</label>${help}</div>`;
  return html`<div class="line"><label for=${id}>${field.label}</label>
    ${field.kind === 'select' ? html`<select class="choose" ...${shared} value=${value} onChange=${set}>${field.choices.map(([key, word]) => html`<option value=${key} selected=${key === value}>${word}</option>`)}</select>`
    : html`<span class="in wide"><input type=${field.kind} ...${shared} value=${value} required=${field.required} autocomplete=${field.autocomplete || 'off'} spellcheck=${false} autocapitalize="none" onInput=${set} /></span>`}
    ${help}</div>`;
}

/**
 * The dialog. `fields` have name, label, kind and what they begin with; `wrong(values)` says what is not right yet, `act(values)`
 * does it; `line(values)` is what it would be in a shell.
 */
export function Ask({ title, text, fields = [], yes, no, grave, wrong, act, line, onClose }) {
  const dialog = useRef();
  const [values, setValues] = useState(() => Object.fromEntries(fields.map((field) => [field.name, field.value ?? (field.kind === 'tick' ? false : '')])));
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => { if (!dialog.current.open) dialog.current.showModal(); }, []);
  const change = (name, value) => { setProblem(''); setValues((before) => ({ ...before, [name]: value })); };
  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    const why = wrong?.(values);
    if (why) { setProblem(why); return; }
    setBusy(true);
    try {
      await act(values);
      onClose();
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      setProblem(error.hint ? `${error.message}; ${error.hint}` : error.message);
      setBusy(false);
    }
  };
  return html`<dialog class="keys question" ref=${dialog} onClose=${onClose} aria-labelledby="ask-h"><form onSubmit=${submit} noValidate>
    <header><h2 id="ask-h">${visible(title)}</h2></header>
    <div class="asked">${text && html`<p class="soft">${text}</p>`}
      ${fields.map((field, i) => html`<${Line} key=${field.name} field=${field} value=${values[field.name]} change=${change} first=${i === 0} />`)}
      ${problem && html`<p class="oops" role="alert">${mark('fail')}<span>${visible(problem)}</span></p>`}
      <div class="row"><button class=${`btn ${grave ? 'grave' : 'main'}`} type="submit" id="ask-yes" data-ctl=${line(values)} aria-busy=${busy ? 'true' : undefined}>${yes}</button>
        <button class="btn" type="button" autofocus=${fields.length === 0 || undefined} onClick=${onClose}>${no}</button></div></div></form></dialog>`;
}
