import { expect, it } from 'vitest';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { ValidationError } from '../../../../src/protocol/errors.ts';
import { ownerId } from '../../../../src/protocol/ids.ts';
import { backendContract } from '../../../contracts/backend.ts';

backendContract('memory', async () => {
  const backend = await embedded().open({ owner: ownerId('me'), immediate: (run) => void setImmediate(run) });
  return { backend, cleanup: () => backend.close() };
});

it.each([
  ['an unknown option', { path: '.troupe' }],
  ['an empty dir', { dir: '' }],
  ['a dir with a NUL', { dir: 'a\0b' }],
  ['a dir that is no path', { dir: 1 }],
  ['an unknown level', { dir: '.troupe', level: 'memory' }],
  ['a level without a dir', { level: 'disk' }],
  ['no object', 'dir'],
])('embedded() refuses %s', (_, options) => {
  expect(() => embedded(options as Parameters<typeof embedded>[0])).toThrow(ValidationError);
});
