import type { Reference } from '../world.ts';
import * as broken from './broken.ts';
import * as callbacks from './callbacks.ts';
import * as clerks from './clerks.ts';
import * as continuing from './continuing.ts';
import * as errors from './errors.ts';
import * as failures from './failures.ts';
import * as household from './household.ts';
import * as letters from './letters.ts';
import * as mended from './mended.ts';
import * as observables from './observables.ts';
import * as plans from './plans.ts';
import * as races from './races.ts';
import * as results from './results.ts';
import * as timers from './timers.ts';
import * as twins from './twins.ts';

export const references: readonly Reference[] = [
  broken,
  callbacks,
  clerks,
  continuing,
  errors,
  failures,
  household,
  letters,
  mended,
  observables,
  plans,
  races,
  results,
  timers,
  twins,
].flatMap((file) => Object.values(file) as Reference[]);
