import type { Journal } from '../src/backend.ts';
import type { Clock } from '../src/clock.ts';
import type { Control } from '../src/protocol/control.ts';
import { CONTROL } from '../src/protocol/ids.ts';
import { post } from './inbox.ts';

/** The control log: who has asked for what that is of no single run. Resolves once it is recorded. @throws StorageFullError, StorageError */
export async function record(control: Control, ports: { journal: Journal; clock: Clock }): Promise<void> {
  await post(CONTROL, control, ports);
}
