// The moment that a person has picked on a chart or among the events: what else is shown of a watcher goes there.

import { own } from './pages.js';
import { touch } from './store.js';

const FRAMES = 300; // for which the log is waited for

/** Calls back with the log of the page once it is there and in sight; never, if that takes too long. */
export function whenLog(found, frames = FRAMES) {
  const log = document.querySelector('.pane .log');
  if (own.pane && log?.checkVisibility()) found(log);
  else if (frames > 0) requestAnimationFrame(() => whenLog(found, frames - 1));
}

export const moment = {
  watcher: '',
  time: 0, // epoch seconds by the daemon's clock
  set(watcher, time) {
    Object.assign(moment, { watcher, time });
    const pane = document.querySelector('.pane');
    if (pane && !pane.checkVisibility()) {
      // The log is one section away; what is drawn next has room for it.
      document.querySelector('.tabs a')?.click();
    }
    whenLog(() => own.pane.toTime(time));
    touch();
  },
};
