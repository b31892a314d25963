// What a page asks circusd for and is not told by itself: asked when it is opened, and again while it is looked at.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { call } from './commands.js';
import { isLive, store } from './store.js';
import { html, icon, mark } from './shapes.js';
import { visible } from './ansi.js';
import { asked as words } from './words.js';

/**
 * The reply of a reading command, asked anew when what is asked changes, and each `every` seconds while the page is in
 * front and live; at once when `since` is another one. What was answered last stays until something newer comes.
 */
export function useAsked(command, properties = {}, every = 0, since = 0) {
  const [told, setTold] = useState({ reply: null, error: null });
  const turn = useRef(0);
  const text = JSON.stringify(properties);
  const ask = async () => {
    turn.current += 1;
    const mine = turn.current;
    try {
      const reply = await call(command, properties);
      if (mine === turn.current) setTold({ reply, error: null });
    } catch (error) {
      if (mine === turn.current) setTold((before) => ({ ...before, error }));
    }
  };
  useEffect(() => {
    ask();
    const timer = every && setInterval(() => { if (!document.hidden && isLive()) ask(); }, every * 1000);
    // An answer that comes after this is nobody's.
    return () => { turn.current += 1; clearInterval(timer); };
  }, [command, text, since]);
  return { ...told, ask };
}

/** What could not be asked, with the reason, where the answer would stand. */
export function NotAsked({ what, error, ask }) {
  return html`<div class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${words.notAsked(what)}</span></span>
    <span class="why">${visible(error.message)}${error.hint ? html`; ${visible(error.hint)}` : ''}</span><button class="btn small" type="button" onClick=${ask}>${words.again}</button></div>`;
}

/** The host's name in the title of the window. */
export function useTitle(title) {
  useEffect(() => { document.title = `${title} · ${store.daemon?.host || 'circus'} · circus`; });
}

/** A link to the form of a command; what the person may not do is still there, and the form says why. */
export function FormLink({ href, line, picture, kind = '', name, children }) {
  return html`<a class=${`btn ${kind}`} href=${href} data-ctl=${line} aria-label=${name}>${picture && icon(picture)}<span class="label">${children}</span></a>`;
}
