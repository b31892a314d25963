// One line in full: all of its text in its colours, its fields where it is JSON, and its link.

import { useLayoutEffect, useRef, useState } from '../vendor/hooks.js';
import { hasEscapes, nodes, strip, visible } from './ansi.js';
import { count } from './format.js';
import { html, icon } from './shapes.js';
import { fieldsOf, objectOf, shownValue } from './json.js';
import { STREAMS } from './lines.js';
import { own } from './pages.js';
import { fullClock } from './query.js';
import { read, verbs } from './words.js';

const FIELDS = 200; // that are shown of one line

function Field({ name, value, query, setQuery }) {
  const text = shownValue(value);
  const only = (not) => setQuery({ ...query, fields: [...query.fields.filter((field) => field.name !== name), { name, value: text, not }] });
  const column = () => { if (!query.columns.includes(name)) setQuery({ ...query, columns: [...query.columns, name] }); };
  return html`<div><dt>${visible(name)}</dt><dd class=${typeof value}>${visible(typeof value === 'string' ? value : text)}</dd>
    <dd class="do"><button type="button" onClick=${() => only(false)}>${read.onlyThis}</button><button type="button" onClick=${() => only(true)}>${read.notThis}</button><button type="button" onClick=${column}>${read.asColumn}</button></dd></div>`;
}

export function Whole({ reading, row, query, setQuery, onClose }) {
  const { lines } = reading;
  const text = useRef();
  const [raw, setRaw] = useState(false);
  const gone = row < lines.first || row >= lines.next;
  const written = gone ? '' : lines.text(row);
  const object = gone ? null : objectOf(hasEscapes(written) ? strip(written) : written);
  const pretty = object && !raw;
  useLayoutEffect(() => { if (!gone && !pretty) text.current.replaceChildren(...nodes(written, lines.style(row))); }, [row, gone, pretty]);
  if (gone) return null;
  const source = lines.source(row);
  const copy = () => navigator.clipboard?.writeText(hasEscapes(written) ? strip(written) : written).catch(() => {});
  const address = reading.address(row);
  return html`<section class="whole" aria-label=${read.inFull}><header>
      <b>${fullClock(lines.time(row))}</b><span dir="auto">${visible(source.watcher)}</span><span>${read.processOf(source.wid, lines.pid(row))}</span><span>${STREAMS[source.stream]}</span><span>${read.lineNumber(count(lines.number(row)))}</span>
      <span class="grow"></span>
      ${object && html`<button class="btn small quiet" type="button" aria-pressed=${String(raw)} onClick=${() => setRaw(!raw)}>${read.asWritten}</button>`}
      <button class="btn small" type="button" onClick=${() => own.pane.alert(hasEscapes(written) ? strip(written) : written)}>${icon('bell')}${read.tellMeLike}</button>
      <a class="btn small" href=${address} onClick=${(event) => { event.preventDefault(); own.pane.link(); }}>${read.copyLink} <kbd>l</kbd></a>
      <button class="btn small" type="button" onClick=${copy}>${icon('copy')}${verbs.copyLine}</button><button class="btn small" type="button" onClick=${onClose}>${verbs.close} <kbd>Esc</kbd></button></header>
    ${pretty ? html`<dl class="json" tabindex="0" aria-label=${read.fields}>${fieldsOf(object).slice(0, FIELDS).map(([name, value]) => html`<${Field} key=${name} name=${name} value=${value} query=${query} setQuery=${setQuery} />`)}</dl>`
    : html`<pre ref=${text} dir="auto" tabindex="0"></pre>`}</section>`;
}
