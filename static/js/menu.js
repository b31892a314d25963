// A button with what it opens below it: closed by Escape, by a choice, and by going elsewhere.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { html } from './shapes.js';

const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/** `face` is what the button shows; arrow keys go through what is open, Tab goes on from it. */
export function Menu({ id, name, face, kind = '', label, children }) {
  const box = useRef();
  const [open, setOpen] = useState(false);
  const close = (focus) => {
    setOpen(false);
    if (focus) box.current.querySelector('button').focus();
  };
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event) => { if (!box.current?.contains(event.target)) setOpen(false); };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  const keys = (event) => {
    const things = [...box.current.querySelectorAll('.pop a, .pop button')].filter((one) => one.getClientRects().length);
    if (event.key === 'Escape' && open) close(true);
    else if (STEPS[event.key] && !open) setOpen(true);
    else if (STEPS[event.key]) {
      const here = things.indexOf(document.activeElement);
      things[(here + STEPS[event.key] + things.length + (here < 0 && event.key === 'ArrowUp' ? 1 : 0)) % things.length]?.focus();
    } else if (open && event.key === 'Home') things[0]?.focus();
    else if (open && event.key === 'End') things.at(-1)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const left = (event) => { if (event.relatedTarget && !box.current.contains(event.relatedTarget)) setOpen(false); };
  return html`<div class="menu" ref=${box} onKeyDown=${keys} onFocusOut=${left}>
    <button class=${kind} type="button" aria-expanded=${String(open)} aria-controls=${id} aria-label=${name} title=${label} onClick=${() => setOpen(!open)}>${face}</button>
    <div class="pop" id=${id} hidden=${!open} onClick=${(event) => { if (event.target.closest('a, button')) close(false); }}>${children}</div></div>`;
}
