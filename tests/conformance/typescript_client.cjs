// kalshi-typescript 3.30.0, unmodified, against the paper exchange over plain HTTP. Not a test file: it runs under Node
// and prints one JSON line: "ok", or what went wrong, for each check.
"use strict";

const assert = require("node:assert/strict");
const kalshi = require("kalshi-typescript");

const GIVEN = JSON.parse(process.argv[2]);
const [A, B] = GIVEN.markets;
const MEMBER = GIVEN.members.rich;
const CONFIGURATION = new kalshi.Configuration({
  apiKey: MEMBER.api_key_id,
  privateKeyPath: MEMBER.private_key_path,
  basePath: GIVEN.rest_url,
});
const orders = new kalshi.OrdersApi(CONFIGURATION);
const groups = new kalshi.OrderGroupsApi(CONFIGURATION);
const portfolio = new kalshi.PortfolioApi(CONFIGURATION);
const markets = new kalshi.MarketApi(CONFIGURATION);
const events = new kalshi.EventsApi(CONFIGURATION);
const keys = new kalshi.ApiKeysApi(CONFIGURATION);

const order = (changes) => ({
  ticker: A,
  side: "bid",
  count: "1.00",
  price: "0.3000",
  time_in_force: "good_till_canceled",
  self_trade_prevention_type: "taker_at_cross",
  ...changes,
});

const resting = async () => {
  const answer = await orders.getOrders(undefined, undefined, undefined, undefined, "resting");
  return answer.data.orders.map((each) => each.order_id);
};

const refused = async (status, code, call) => {
  try {
    await call();
  } catch (error) {
    assert.equal(error.response?.status, status, error.message);
    assert.equal(error.response.data.error.code, code);
    return;
  }
  assert.fail("it was not refused");
};

const CHECKS = {
  async the_market_is_read() {
    const { market } = (await markets.getMarket(A)).data;
    assert.equal(market.status, "active");
    const book = (await markets.getMarketOrderbook(A)).data.orderbook_fp;
    assert.deepEqual(book.yes_dollars, [["0.4400", "20.00"], ["0.4500", "10.00"]]);
    const listed = (await markets.getMarkets()).data.markets.map((each) => each.ticker);
    assert.ok(listed.includes(A) && listed.includes(B));
    const nested = (await events.getEvents(undefined, undefined, true, undefined, "open")).data.events;
    assert.equal(nested.flatMap((event) => event.markets).length, 3);
    const now = Math.floor(Date.now() / 1000);
    const candles = (await markets.getMarketCandlesticks("KXTEST", A, now - 3600, now + 60, 1)).data.candlesticks;
    assert.equal(candles.at(-1).yes_bid.close_dollars, "0.4500");
  },

  async an_order_lives() {
    const created = await orders.createOrderV2(order({ client_order_id: "ts-1", count: "3.00" }));
    assert.equal(created.status, 201);
    const id = created.data.order_id;
    assert.deepEqual(await resting(), [id]);
    const change = { ticker: A, side: "bid", price: "0.3100", count: "5.00" };
    assert.equal((await orders.amendOrderV2(id, change)).data.remaining_count, "5.00");
    assert.equal((await orders.decreaseOrderV2(id, { reduce_to: "2.00" })).data.remaining_count, "2.00");
    assert.equal((await orders.cancelOrderV2(id)).data.reduced_by, "2.00");
    assert.deepEqual(await resting(), []);
  },

  async fills_and_positions() {
    const taken = await orders.createOrderV2(order({ price: "0.5200", count: "2.00", time_in_force: "immediate_or_cancel" }));
    assert.equal(taken.data.fill_count, "2.00");
    const { fills } = (await portfolio.getFills(undefined, taken.data.order_id)).data;
    assert.deepEqual(fills.map((each) => each.count_fp), ["2.00"]);
    assert.equal((await portfolio.getPositions()).data.market_positions[0].position_fp, "2.00");
    assert.ok((await portfolio.getBalance()).data.balance > 0);
  },

  async batches_and_groups() {
    const group = (await groups.createOrderGroup({ contracts_limit: 10 })).data.order_group_id;
    const item = order({ order_group_id: group });
    const answer = (await orders.batchCreateOrdersV2({ orders: [item, order({ price: "1.0000" })] })).data.orders;
    assert.deepEqual(answer.map((each) => each.error?.code), [undefined, "invalid_price"]);
    await groups.triggerOrderGroup(group);
    assert.deepEqual(await resting(), []);
    await refused(400, "exceeded_order_group_risk_limit", () => orders.createOrderV2(item));
    await groups.resetOrderGroup(group);
    const again = (await orders.createOrderV2(item)).data.order_id;
    const gone = (await orders.batchCancelOrdersV2({ orders: [{ order_id: again }] })).data.orders;
    assert.deepEqual(gone.map((each) => each.reduced_by), ["1.00"]);
  },

  async keys_and_refusals() {
    const listed = (await keys.getApiKeys()).data.api_keys;
    assert.deepEqual(listed.map((each) => each.api_key_id), [MEMBER.api_key_id]);
    await refused(404, "market_not_found", () => markets.getMarket("KXNONE-1"));
    await refused(400, "invalid_price", () => orders.createOrderV2(order({ price: "0.300000" })));
    await orders.createOrderV2(order({ client_order_id: "twice", time_in_force: "immediate_or_cancel" }));
    await refused(409, "order_already_exists", () => orders.createOrderV2(order({ client_order_id: "twice" })));
  },
};

(async () => {
  const found = {};
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      await check();
      found[name] = "ok";
    } catch (error) {
      found[name] = String(error.stack).slice(0, 2000);
    }
  }
  process.stdout.write(JSON.stringify(found) + "\n");
})();
