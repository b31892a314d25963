// What the daemon has answered, readable: names with values, lists of things as tables.

import { html } from './shapes.js';
import { visible } from './ansi.js';
import { say } from './words.js';

const MOST = 200; // rows and entries that are shown; the line for the shell gives the rest
const DEEP = 4;
const OURS = ['status', 'time', 'id'];

const isPlain = (value) => value === null || typeof value !== 'object';
const text = (value) => (value === null || value === undefined || value === '' ? '–' : typeof value === 'boolean' ? (value ? say.yes : say.no) : visible(String(value)));

function cut(count) {
  return count > MOST ? html`<p class="dim">${say.moreNotShown(count - MOST)}</p>` : null;
}

function Table({ rows }) {
  const keys = [...new Set(rows.slice(0, MOST).flatMap((row) => Object.keys(row)))];
  return html`<div class="told-box" tabindex="0" role="group" aria-label=${say.table}><table class="tab compact told"><thead><tr>${keys.map((key) => html`<th scope="col">${visible(key)}</th>`)}</tr></thead>
    <tbody>${rows.slice(0, MOST).map((row) => html`<tr>${keys.map((key) => html`<td><${Value} value=${row[key]} depth=${DEEP} /></td>`)}</tr>`)}</tbody></table></div>${cut(rows.length)}`;
}

function Value({ value, depth }) {
  if (value === undefined || isPlain(value)) return html`<span dir="auto">${text(value)}</span>`;
  if (Array.isArray(value)) {
    if (value.every(isPlain)) return html`<span>${value.length ? value.slice(0, MOST).map(text).join(', ') : '–'}</span>${cut(value.length)}`;
    if (depth < DEEP && value.every((row) => row && typeof row === 'object' && !Array.isArray(row))) return html`<${Table} rows=${value} />`;
  } else if (depth < DEEP) {
    const entries = Object.entries(value);
    if (!entries.length) return html`<span>–</span>`;
    return html`<dl class="told">${entries.slice(0, MOST).map(([key, one]) => html`<div><dt><code>${visible(key)}</code></dt><dd><${Value} value=${one} depth=${depth + 1} /></dd></div>`)}</dl>${cut(entries.length)}`;
  }
  return html`<code class="deep">${visible(JSON.stringify(value).slice(0, 4000))}</code>`;
}

/** The reply of a command without what every reply has; where the command's own has one of those names, it is shown. */
export function Reply({ row, reply }) {
  const own = Object.fromEntries(Object.entries(reply).filter(([key, value]) => !OURS.includes(key) || (value !== 'ok' && row.reply.some((field) => field.name === key))));
  return Object.keys(own).length ? html`<${Value} value=${own} depth=${0} />` : null;
}
