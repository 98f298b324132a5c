import type { BackendFactory } from '../../backend.ts';
import { ValidationError } from '../../protocol/errors.ts';

export interface EmbeddedOptions {
  /** The directory that keeps everything; made if it is missing. Without it all is in memory and gone with the process. */
  dir?: string;
  /** What every acknowledged append survives. Only with `dir`; 'process' by default, where barriers still reach the disk. */
  level?: 'process' | 'disk';
}

/** Everything without a server: SQLite in `dir`, or memory. @throws ValidationError */
export function embedded(options: EmbeddedOptions = {}): BackendFactory {
  const { dir, level } = check(options);
  return {
    ...(dir === undefined ? {} : { dir }),
    // Loaded when it is opened: whoever imports troupe pays for neither.
    open: async (ports) =>
      dir === undefined
        ? (await import('./memory/open.ts')).openMemory(ports)
        : (await import('./sqlite/open.ts')).openSqlite({ dir, level: level ?? 'process' }, ports),
  };
}

function check(options: unknown): EmbeddedOptions {
  if (typeof options !== 'object' || options === null)
    throw new ValidationError(`embedded() takes an object, such as { dir: '.troupe' }, not ${typeof options}.`, {
      path: 'options',
    });
  const unknown = Object.keys(options).find((key) => key !== 'dir' && key !== 'level');
  if (unknown !== undefined)
    throw new ValidationError(`embedded() has no option '${unknown}': it takes dir and level.`, { path: unknown });
  const { dir, level } = options as { dir?: unknown; level?: unknown };
  if (dir !== undefined && (typeof dir !== 'string' || dir === '' || dir.includes('\0')))
    throw new ValidationError('The option dir of embedded() must be the path of a directory.', { path: 'dir', dir });
  if (level !== undefined && level !== 'process' && level !== 'disk')
    throw new ValidationError("The option level of embedded() must be 'process' or 'disk'.", { path: 'level', level });
  if (level !== undefined && dir === undefined)
    throw new ValidationError(`embedded() cannot keep level '${level}' in memory: give it a dir.`, {
      path: 'dir',
      level,
    });
  return { ...(dir === undefined ? {} : { dir }), ...(level === undefined ? {} : { level }) };
}
