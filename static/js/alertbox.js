// What a person wants to be told of: a form for one more, those that there are, and what the browser lets the page do.

import { useLayoutEffect, useReducer, useRef, useState } from '../vendor/hooks.js';
import { forget, permission, trouble, want, wanted } from './alerts.js';
import { told } from './alertwords.js';
import { visible } from './ansi.js';
import { html, mark } from './shapes.js';
import { parsed } from './query.js';
import { say, verbs } from './words.js';

function Browser({ redraw }) {
  const may = permission();
  if (may === 'granted') return html`<p class="dim">${told.allowed}</p>`;
  if (may === 'default') return html`<p><button class="btn small" type="button" onClick=${() => Notification.requestPermission().then(redraw)}>${told.allow}</button></p>`;
  return html`<p class="dim">${may ? told.denied : told.unsafe}</p>`;
}

/** `seed` is what stands in the form first; `watchers` are the names that are read, or null for all. */
export function AlertBox({ seed, exact, watchers, onClose }) {
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  const [typed, setTyped] = useState(seed);
  const [problem, setProblem] = useState('');
  const input = useRef();
  useLayoutEffect(() => { setTyped(seed); input.current.focus(); }, [seed]);
  const add = (event) => {
    event.preventDefault();
    const q = input.current.value.trim();
    const read = parsed(q, exact);
    if (!read.pattern) { setProblem(read.problem ? say.badPattern(read.problem) : ''); return; }
    const why = want({ q, exact, watchers });
    setProblem(why);
    if (!why) setTyped('');
    redraw();
  };
  const escape = (event) => { if (event.key === 'Escape') { event.stopPropagation(); onClose(); } };
  const all = wanted();
  return html`<form class="readmenu alert-box" onSubmit=${add} onKeyDown=${escape} aria-label=${told.title}>
    <h3>${told.title}</h3>
    <label><span class="only-heard">${told.line}</span><span class="in"><input type="text" ref=${input} value=${typed} placeholder=${told.line} maxlength="500" spellcheck=${false} autocomplete="off" aria-invalid=${problem ? 'true' : undefined} aria-describedby="alert-help" onInput=${(event) => { setTyped(event.target.value); setProblem(''); }} /></span></label>
    <div class="row"><span class="dim" dir="auto">${told.from(watchers && watchers.map(visible))}</span><span class="grow"></span><button class="btn small main" type="submit">${told.add}</button><button class="btn small quiet" type="button" onClick=${onClose}>${verbs.close}</button></div>
    <p id="alert-help" class=${problem ? 'is-fail' : 'dim'} role=${problem ? 'alert' : undefined}>${problem || told.how}</p>
    <${Browser} redraw=${redraw} />
    <h4>${told.yours}</h4>
    ${all.length > 0 && trouble() && html`<p class="is-fail" role="alert">${told.notHeard(trouble())}</p>`}
    ${all.length ? html`<ul>${all.map(({ rule, failed }) => html`<li key=${JSON.stringify(rule)}><code dir="auto">${visible(rule.q)}</code><span class="dim" dir="auto">${told.from(rule.watchers && rule.watchers.map(visible))}</span>${failed && html`<span class="st is-fail">${mark('fail')}<span>${told.late}</span></span>`}
      <button class="btn small icon quiet" type="button" aria-label=${told.remove(visible(rule.q))} title=${told.remove(visible(rule.q))} onClick=${() => { forget(rule); redraw(); input.current.focus(); }}>×</button></li>`)}</ul>` : html`<p class="dim">${told.none}</p>`}</form>`;
}
