import { systemClock } from '../clock.ts';

/** In ms since the epoch. */
export const now = (): number => systemClock().now();
