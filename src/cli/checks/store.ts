import type { Backend, BackendFactory, Level } from '../../backend.ts';
import { createTroupe, type Troupe } from '../../troupe.ts';
import type { Config } from '../config.ts';
import { checkedBackend } from '../open.ts';
import { failed, ok, warn, type Check } from './check.ts';
import { directoryChecks, directoryOf, isNew, ownersCheck } from './directory.ts';
import { runChecks } from './runs.ts';

const SURVIVES: Record<Level, string> = {
  memory: 'nothing: each command begins with an empty store',
  process: 'a kill -9; the begin of an irreversible call, the end of its run and a kill survive a power cut, too',
  disk: 'a power cut',
};

/** The store as it is found, and the runs in it. Nothing is recorded and no run is taken over. */
export async function* storeChecks(config: Config): AsyncGenerator<Check> {
  const { definitions, tools } = config;
  const dir = directoryOf(config.backend);
  if (dir !== undefined) {
    yield* directoryChecks(dir);
    if (isNew(dir)) return;
  }
  const opened = new Opened(checkedBackend(config.backend));
  let troupe: Troupe;
  try {
    troupe = await createTroupe({ backend: opened, definitions, tools, recover: false, report: opened.report });
  } catch (error) {
    yield opened.backend === undefined
      ? failed('backend', error, 'see what its open() does')
      : failed('definitions', error, 'see the config');
    return;
  }
  try {
    if (opened.backend !== undefined) {
      yield levelCheck(opened.backend);
      if (dir !== undefined) yield await ownersCheck(dir, opened.backend);
    }
    yield* runChecks(troupe, opened.reports);
  } catch (error) {
    yield failed('runs', error, 'read one of them: troupe show');
  }
  try {
    await troupe.close();
  } catch (error) {
    yield failed('backend', error, 'see what its close() does');
  }
}

function levelCheck({ name, level }: Backend): Check {
  const says = `${name} opens, level ${level}: what was acknowledged survives ${SURVIVES[level]}`;
  return level === 'memory'
    ? warn('backend', says, "give it a directory: embedded({ dir: '.troupe' })")
    : ok('backend', says);
}

/** A factory that keeps what it opened, and what was reported of it. */
class Opened implements BackendFactory {
  readonly #factory: BackendFactory;
  backend: Backend | undefined;
  readonly reports: string[] = [];

  constructor(factory: BackendFactory) {
    this.#factory = factory;
  }

  async open(ports: Parameters<BackendFactory['open']>[0]): Promise<Backend> {
    return (this.backend = await this.#factory.open(ports));
  }

  readonly report = (error: unknown, where: string): void =>
    void this.reports.push(`${where}: ${error instanceof Error ? error.message : String(error)}`);
}
