import type { Reference } from '../world.ts';
import * as errors from './errors.ts';
import * as results from './results.ts';
import * as sends from './sends.ts';
import * as states from './states.ts';
import * as streams from './streams.ts';

export const references: readonly Reference[] = [errors, results, sends, states, streams].flatMap((file) => Object.values(file) as Reference[]);
