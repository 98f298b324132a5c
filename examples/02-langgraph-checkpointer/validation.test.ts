import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deltaChannelHistoryTests, validate } from '@langchain/langgraph-checkpoint-validation';
import { embedded } from 'troupe';
import { TroupeSaver } from './saver.ts';

/** LangGraph's own suite for checkpointers: what it asks of all, and what it asks of those with delta channels. */

const memory = {
  checkpointerName: 'TroupeSaver in memory',
  createCheckpointer: () => TroupeSaver.open(embedded()),
  destroyCheckpointer: (saver: TroupeSaver) => saver.close(),
};

const folders = new Map<TroupeSaver, string>();
const directory = {
  checkpointerName: 'TroupeSaver in a directory',
  async createCheckpointer() {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-langgraph-'));
    const saver = await TroupeSaver.open(embedded({ dir }));
    folders.set(saver, dir);
    return saver;
  },
  async destroyCheckpointer(saver: TroupeSaver) {
    await saver.close();
    await rm(folders.get(saver) ?? '', { recursive: true });
  },
};

for (const subject of [memory, directory]) {
  validate(subject);
  deltaChannelHistoryTests(subject);
}
