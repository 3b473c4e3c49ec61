import { describe, expect, it } from '@jest/globals';
import { ActivityHandler, type InvokeResponse, type TurnContext } from 'botbuilder';
import { BotAdapter } from '../../src/bot/adapter.ts';
import type { ActivityLike } from '../../src/bot/incoming.ts';
import type { Logger } from '../../src/logger.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent } as unknown as Logger;
const identity = { issuer: 'https://api.botframework.com', audience: 'app', serviceUrl: 'https://smba.example/' };
const activity = (more: Partial<ActivityLike> = {}): ActivityLike => ({
  type: 'message',
  id: '1',
  text: 'hi',
  serviceUrl: 'https://smba.example/',
  channelId: 'msteams',
  from: { id: '29:x' },
  recipient: { id: '28:app' },
  conversation: { id: 'a:1' },
  ...more,
});
const adapter = () => new BotAdapter('app', silent);

describe('the adapter behind the gate', () => {
  it('runs a verified activity through the handler and says that it was taken', async () => {
    const handler = new ActivityHandler();
    let heard: string | undefined;
    handler.onMessage(async (context, next) => {
      heard = context.activity.text;
      await next();
    });
    expect(await adapter().run(activity(), identity, handler)).toEqual({ status: 200 });
    expect(heard).toBe('hi');
  });

  it('answers an invoke with what the handler says, and an unknown one with 501', async () => {
    class Answering extends ActivityHandler {
      protected override async onInvokeActivity(context: TurnContext): Promise<InvokeResponse> {
        if (context.activity.name !== 'adaptiveCard/action') return super.onInvokeActivity(context);
        return { status: 200, body: { statusCode: 200, type: 't', value: 'v' } };
      }
    }
    const invoke = (name: string) =>
      adapter().run(activity({ type: 'invoke', name, value: {} }), identity, new Answering());
    expect(await invoke('adaptiveCard/action')).toEqual({
      status: 200,
      body: { statusCode: 200, type: 't', value: 'v' },
    });
    expect(await invoke('task/fetch')).toMatchObject({ status: 501 });
  });

  it('passes on what the handler throws, so that it is not taken for answered', async () => {
    const handler = new ActivityHandler();
    handler.onMessage(async () => {
      throw new Error('the store is gone');
    });
    await expect(adapter().run(activity(), identity, handler)).rejects.toThrow('the store is gone');
  });

  it('sends nothing itself, and says where to send', async () => {
    const handler = new ActivityHandler();
    handler.onMessage(async (context) => {
      await context.sendActivity('hello');
    });
    await expect(adapter().run(activity(), identity, handler)).rejects.toThrow('send through bot/connector.ts');
  });

  it('has no other way in: what is not verified by the gate is refused', async () => {
    let ran = false;
    const logic = async () => {
      ran = true;
    };
    await expect(adapter().processActivityDirect('Bearer x.y.z', activity() as never, logic)).rejects.toThrow(
      'authenticated by the trust gate',
    );
    await expect(adapter().processActivityDirect('', activity() as never, logic)).rejects.toThrow();
    expect(ran).toBe(false);
  });
});
