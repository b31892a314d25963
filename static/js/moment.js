// The moment that a person has picked on a chart or among the events: what else is shown of a watcher goes there.

import { own } from './pages.js';
import { touch } from './store.js';

export const moment = {
  watcher: '',
  time: 0, // epoch seconds by the daemon's clock
  set(watcher, time) {
    Object.assign(moment, { watcher, time });
    const pane = document.querySelector('.pane');
    if (pane && !pane.checkVisibility()) {
      // The log is one section away; what is drawn next has room for it.
      document.querySelector('.tabs a')?.click();
      setTimeout(() => own.pane?.toTime(time), 120);
    } else own.pane?.toTime(time);
    touch();
  },
};
