import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createRedactor } from '../../../src/logger.ts';
import { asJenkins } from '../../../src/pipelines/jenkins/connection.ts';
import { fromHtml, interesting, toLines } from '../../../src/pipelines/jenkins/log.ts';
import { type Opened, open } from './harness.ts';

describe('lines', () => {
  const redact = createRedactor(['the-token-of-the-bot']);
  it('have no escapes, no notes of the console and no secrets', () => {
    const note = '\u001b[8mha:////4abc==\u001b[0m';
    const text = `${note}Started\r\n\u001b[31mred\u001b[0m\n\ncurl -u me:the-token-of-the-bot\na\tb\u0007`;
    expect(toLines(text, redact)).toEqual(['Started', 'red', 'curl -u me:[redacted]', 'a b']);
  });
  it('hide a key that has many lines', () => {
    const key = '-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----';
    expect(toLines(`before\n${key}\nafter`, redact)).toEqual(['before', '[redacted]', 'after']);
  });
  it('are plain whatever comes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        for (const line of toLines(text, redact)) expect(line).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
  it('leave out the steps of the pipeline and the questions of its inputs', () => {
    const console = `Started by user x
[Pipeline] Start of Pipeline
[Pipeline] input
Let it into production?
In two lines?
Ship it or Abort
Approved by shipmate
[Pipeline] sh
+ ./deploy
[Pipeline] input
Input requested
done
Finished: SUCCESS`.split('\n');
    expect(interesting(console)).toEqual([
      'Started by user x',
      'Approved by shipmate',
      '+ ./deploy',
      'done',
      'Finished: SUCCESS',
    ]);
  });
  it('are text again where they came as HTML', () => {
    const html = '<span class="t"><b>12:00</b> </span>a &lt;b&gt; &amp;amp; &quot;c&quot; &#039;d&#039;';
    expect(fromHtml(html)).toBe(`12:00 a <b> &amp; "c" 'd'`);
  });
});

describe('the end of a log', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await open();
  });
  afterEach(() => system.close());

  async function withLog(log: string) {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    const [build] = system.fake.model.builds;
    if (!build) throw new Error('no build');
    build.log = log;
    return { run, build };
  }
  const numbered = (count: number, from = 0) =>
    Array.from({ length: count }, (_, index) => `line ${index + from} ${'é'.repeat(30)}\n`).join('');

  it('is all of a short one', async () => {
    const { run } = await withLog('one\ntwo\n');
    expect(await system.another().logs(run, { lines: 10 })).toEqual(['one', 'two']);
    expect(await system.another().logs(run, { lines: 1 })).toEqual(['two']);
  });

  it('is found in a long one, whole lines only, and less is read the next time', async () => {
    const { build, run } = await withLog(numbered(20_000));
    const pipeline = system.another();
    const lines = await pipeline.logs(run, { lines: 5 });
    expect(lines.at(-1)).toMatch(/^line 19999 é{30}$/);
    const many = await pipeline.logs(run, { lines: 1000 });
    expect(many.length).toBeGreaterThan(400);
    for (const line of many) expect(line).toMatch(/^line \d+ é{30}$/);
    build.log += numbered(3, 20_000);
    const before = system.fake.requests().length;
    expect((await pipeline.logs(run, { lines: 1 }))[0]).toMatch(/^line 20002 /);
    expect(
      system.fake
        .requests()
        .slice(before)
        .filter((each) => each.includes('progressiveText')),
    ).toHaveLength(1);
  });

  it('is found when the log has become shorter', async () => {
    const { build, run } = await withLog(numbered(9000));
    const pipeline = system.another();
    await pipeline.logs(run, { lines: 1 });
    build.log = 'begun anew\n';
    expect(await pipeline.logs(run, { lines: 3 })).toEqual(['begun anew']);
  });

  it('is where a bot finds it that knows nothing or something else', async () => {
    const { build } = await withLog(numbered(5000));
    const { client } = asJenkins(system.connection);
    const path = `/job/deploy/job/storefront/${build.number}/logText/progressiveText`;
    const size = Buffer.byteLength(build.log);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: size * 2 }), async (from) => {
        const end = await client.logEnd(path, from);
        expect(end?.size).toBe(size);
        expect(end?.text.endsWith(build.log.slice(-2000))).toBe(true);
        expect(end?.text).toMatch(/^line /);
      }),
      { numRuns: 40 },
    );
  });
});
