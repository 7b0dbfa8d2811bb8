import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

class Call {
  public static void main(String[] arguments) throws Exception {
    OkHttpClient client = new OkHttpClient().newBuilder()
      .build();
    MediaType mediaType = MediaType.parse("application/json");
    RequestBody body = RequestBody.create(mediaType, "{\"id\":\"5fd3a340b15cc4d3b71b7cc7\"}");
    Request request = new Request.Builder()
      .url("https://diem-instance.com/etl-mgr/api/apijob")
      .method("POST", body)
      .addHeader("x-api-key", "THE_API_KEY")
      .addHeader("Content-Type", "application/json")
      .addHeader("Cookie", "2dde790f4336c48096c854e78a2bf377=8e7fbffd3054f98246f64722461a3275")
      .build();
    Response response = client.newCall(request).execute();
    System.out.println(response.body().string());
    client.dispatcher().executorService().shutdown();
    client.connectionPool().evictAll();
  }
}
