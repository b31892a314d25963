// What is asked before something ends: how many processes of which watchers; where that is wide, a word has to be typed.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { visible } from './ansi.js';
import { prose } from './fields.js';
import { WatcherState } from './parts.js';
import { html } from './shapes.js';
import { alive } from './store.js';
import { say } from './words.js';

const WIDE = 10; // watchers from which on a word has to be typed, and from which on also what ends nothing is asked
const SHOWN = 30; // of those that are hit

export const running = (watcher) => watcher.processes.filter(alive);
export const processes = (number) => `${number} ${number === 1 ? 'process' : 'processes'}`;

/** Whether it is asked once more before it is done to these watchers. */
export function asksFirst(row, list) {
  return row.effect === 'destroy' || list.length >= WIDE;
}

function isWide(row, list, named) {
  return row.effect === 'destroy' && (row.scope === 'daemon' || row.role === 'admin' || !named || list.length >= WIDE);
}

/** What will be hit, by name: the watchers, and how many of their processes. */
export function Hits({ list, pid }) {
  return html`<ul class="hits" tabindex="0" aria-label=${say.watchers}>${list.slice(0, SHOWN).map((watcher) => html`<li><${WatcherState} watcher=${watcher} /> <b dir="auto">${visible(watcher.name)}</b>
    <span class="dim">${pid ? say.processNumber(pid) : `${processes(running(watcher).length)}${running(watcher).length ? `: ${running(watcher).slice(0, 8).map((process) => process.pid).join(', ')}` : ''}`}</span></li>`)}
    ${list.length > SHOWN && html`<li>${say.andMore(list.length - SHOWN)}</li>`}</ul>`;
}

/** The question, with the line that the yes stands for; `named` is false where no watcher was named and all are meant. */
export function Confirm({ row, doc, list, pid, named = true, line, onYes, onNo }) {
  const dialog = useRef();
  const wide = isWide(row, list, named);
  const [typed, setTyped] = useState('');
  const ready = !wide || typed.trim() === row.name;
  useEffect(() => { if (!dialog.current.open) dialog.current.showModal(); }, []);
  const yes = (event) => { event.preventDefault(); if (ready) onYes(); };
  const total = pid ? 1 : list.reduce((sum, watcher) => sum + running(watcher).length, 0);
  const own = list.some((watcher) => watcher.kind === 'httpd');
  return html`<dialog class="keys confirm" ref=${dialog} onClose=${onNo} aria-labelledby="confirm-h" aria-describedby="confirm-d"><form onSubmit=${yes}>
    <header><h2 id="confirm-h">${say.confirm(row.name)}</h2></header>
    <div class="blank"><p id="confirm-d">${doc ? prose(doc) : ''}</p>${list.length > 0 && html`<p><b>${(row.effect === 'destroy' ? say.hits : say.isFor)(list.length, total)}</b></p><${Hits} list=${list} pid=${pid} />`}
      ${own && html`<p class="is-wait">${say.endsThis}</p>`}
      ${line && html`<pre><i aria-hidden="true">$</i> <code>${line}</code></pre>`}
      ${wide && html`<label class="typed">${say.typeWord} <code>${row.name}</code><span class="in"><input id="confirm-word" type="text" autofocus spellcheck=${false} autocomplete="off" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></span></label>`}
      <div class="row"><button class="btn grave" type="submit" id="confirm-yes" aria-disabled=${ready ? undefined : 'true'}>${say.doIt(row.name)}</button><button class="btn" type="button" autofocus=${!wide} onClick=${onNo}>${say.leaveIt}</button></div></div></form></dialog>`;
}
