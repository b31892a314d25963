// All keys, in a dialog of the browser's own: it keeps the focus and closes with Esc.

import { useEffect, useRef } from '../vendor/hooks.js';
import { keyRows } from './keys.js';
import { html } from './shapes.js';
import { say, verbs } from './words.js';

export function Keys({ open, onClose }) {
  const dialog = useRef();
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return html`<dialog class="keys all-keys" ref=${dialog} onClose=${onClose} aria-labelledby="keys-h">
    <header><h2 id="keys-h">${say.keys}</h2><button class="btn small" type="button" onClick=${onClose}>${verbs.close} <kbd>Esc</kbd></button></header>
    ${open && html`<dl>${keyRows().map(([keys, what]) => html`<div><dt>${keys.split(' ').map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl>`}
  </dialog>`;
}
