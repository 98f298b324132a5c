import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Annotation, Command, END, interrupt, START, StateGraph } from '@langchain/langgraph';
import { embedded } from 'troupe';
import { TroupeSaver } from './saver.ts';

/** One process writes a draft, asks for approval and is killed with -9. Another gets the answer and goes on; nothing is drafted again. */

const State = Annotation.Root({ topic: Annotation<string>, draft: Annotation<string>, published: Annotation<string> });
const say = (what: string): void => console.log(`process ${process.argv[2] === undefined ? 2 : 1}: ${what}`);

const graph = new StateGraph(State)
  .addNode('write', ({ topic }) => {
    say(`writes about ${topic}`);
    return { draft: `All about ${topic}.` };
  })
  .addNode(
    'approve',
    ({ draft }) => {
      const answer: unknown = interrupt({ question: 'Publish it?', draft });
      say(`hears '${String(answer)}'`);
      return new Command({ goto: answer === 'yes' ? 'publish' : END });
    },
    { ends: ['publish', END] },
  )
  .addNode('publish', ({ draft }) => ({ published: draft }))
  .addEdge(START, 'write')
  .addEdge('write', 'approve')
  .addEdge('publish', END);

const thread = { configurable: { thread_id: 'an article' } };

async function ask(dir: string): Promise<never> {
  const saver = await TroupeSaver.open(embedded({ dir }));
  const state = await graph.compile({ checkpointer: saver }).invoke({ topic: 'journals' }, thread);
  say(`asks ${JSON.stringify((state as { __interrupt__?: unknown[] }).__interrupt__?.[0])}`);
  process.kill(process.pid, 'SIGKILL');
  throw new Error('A process went on after kill -9.');
}

async function answer(dir: string): Promise<void> {
  const saver = await TroupeSaver.open(embedded({ dir }));
  const state = await graph.compile({ checkpointer: saver }).invoke(new Command({ resume: 'yes' }), thread);
  say(`published '${state.published}'`);
  await saver.close();
}

const [, , given] = process.argv;
if (given !== undefined) await ask(given);
const dir = await mkdtemp(join(tmpdir(), 'troupe-langgraph-'));
const { signal } = spawnSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), dir], {
  stdio: 'inherit',
});
console.log(`process 1 ended by ${String(signal)}`);
await answer(dir);
await rm(dir, { recursive: true });
