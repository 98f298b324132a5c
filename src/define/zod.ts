import { createRequire } from 'node:module';
import type * as Zod from 'zod';

const require = createRequire(import.meta.url);
let loaded: typeof Zod | undefined;

/** For schemas of our own. Loaded with the first: it takes longer than all else together, and statecharts need none. */
export const zod = (): typeof Zod => (loaded ??= require('zod') as typeof Zod);
