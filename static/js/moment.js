// The moment that a person has picked on a chart or among the events: what else is shown of a watcher goes there.

import { shownPane } from './pane.js';
import { touch } from './store.js';

export const moment = {
  watcher: '',
  time: 0, // epoch seconds by the daemon's clock
  set(watcher, time) {
    Object.assign(moment, { watcher, time });
    shownPane.toTime?.(time);
    touch();
  },
};
