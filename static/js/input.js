// One line that is sent to the standard input of a watcher's processes, and what came of it.

import { useState } from '../vendor/hooks.js';
import { call, CommandError, lineFor, mayNot } from './commands.js';
import { html, mark } from './shapes.js';
import { visible } from './ansi.js';
import { sending as say } from './words.js';

export function Input({ watcher }) {
  const [text, setText] = useState('');
  const [to, setTo] = useState('');
  const [told, setTold] = useState(null);
  const [busy, setBusy] = useState(false);
  const there = watcher.processes.filter((process) => process.stdin && process.pid !== null);
  const open = there.filter((process) => process.stdin === 'open');
  const pid = open.some((process) => String(process.pid) === to) ? to : '';
  const why = mayNot('admin') || (open.length ? '' : say.closed);
  const whom = pid ? { pid: Number(pid) } : {};
  const send = async (given) => {
    if (why || busy) return;
    setBusy(true);
    setTold(null);
    try {
      const reply = await call('input', { name: watcher.name, ...whom, ...given });
      setText('');
      setTold({ text: given.eof ? say.ended(reply.sent.length) : say.sent(reply.bytes, reply.sent.length) });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      setTold({ problem: error.hint ? `${error.message}; ${error.hint}` : error.message });
    } finally {
      setBusy(false);
    }
  };
  const submit = (event) => { event.preventDefault(); send({ text }); };
  return html`<section class="sheet send" aria-label=${say.title}><form onSubmit=${submit}>
    <label class="what" for="send-text">${say.label}</label>
    <span class="in"><input id="send-text" type="text" value=${text} maxlength="60000" spellcheck=${false} autocomplete="off" autocapitalize="none" dir="auto" disabled=${Boolean(why) || undefined} title=${why || undefined} onInput=${(event) => setText(event.target.value)} /></span>
    ${open.length > 1 && html`<select class="choose" aria-label=${say.to} value=${pid} onChange=${(event) => setTo(event.target.value)}><option value="">${say.all(open.length)}</option>${open.map((process) => html`<option key=${process.pid} value=${process.pid}>${say.one(process.wid, process.pid)}</option>`)}</select>`}
    <button class="btn" type="submit" data-ctl=${lineFor('input', watcher, { text, ...whom, waiting: false })} aria-disabled=${why ? 'true' : undefined} aria-busy=${busy ? 'true' : undefined} title=${why || undefined}>${say.send}</button>
    <button class="btn quiet" type="button" data-ctl=${lineFor('input', watcher, { ...whom, eof: true, waiting: false })} aria-disabled=${why ? 'true' : undefined} title=${why || say.endHelp} onClick=${() => send({ eof: true })}>${say.end}</button></form>
    <p class="came" role="status">${told?.text || (why && html`<span class="dim">${why}</span>`)}${told?.problem && html`<span class="st is-fail">${mark('fail')}<span class="word">${visible(told.problem)}</span></span>`}</p></section>`;
}
